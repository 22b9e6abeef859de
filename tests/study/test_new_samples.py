"""What is known of new samples: their truth, as the model that is used knows it."""

from dataclasses import replace

import numpy as np
import pytest

from aam.data.metadata import read_metadata
from aam.disk.schema import parse
from aam.study.new_samples import known_truth
from aam.study.reading import read_study
from aam.study.targets import ClassTarget, RegressionTarget
from tests.support.files import metadata_of, table_of

IDS = [f"S{row}" for row in range(5)]


def metadata_with(tmp_path, values):
    return read_metadata(metadata_of(tmp_path, {"x": values}))


def test_a_number_is_scored_by_the_rule_of_training(tmp_path, caplog):
    metadata = metadata_with(tmp_path, ["1_0", "10", "1e1", "inf", "\u0663"])
    truth = known_truth(metadata, IDS, "x", RegressionTarget())
    assert truth.rows.tolist() == [1, 2]
    assert truth.values.tolist() == [10, 10]
    assert "3 of 5 samples have no number in column x: predicted, not scored: S0 (1_0), S3 (inf)" in caplog.text


@pytest.mark.parametrize("value", ["6.0", "06", "6"])
def test_classes_of_older_models_are_numbers_as_people_write_them(tmp_path, value, caplog):
    older = parse(ClassTarget, {"classes": ["10", "6", "a"], "weights": [1, 1, 1]}, "target")
    metadata = metadata_with(tmp_path, [value, "10", "1e1", "10.50", ""])
    truth = known_truth(metadata, IDS, "x", older)
    assert truth.rows.tolist() == [0, 1, 2]
    assert truth.values.tolist() == [1, 0, 0]
    assert truth.column(older).tolist()[:3] == ["6", "10", "10"]
    assert "1 of 5 samples is of classes that the model does not know: predicted, not scored: S3 (10.5)" in caplog.text


def test_classes_of_models_of_today_are_as_written(tmp_path):
    target = ClassTarget.of(["1.1", "1.10", "6"])
    truth = known_truth(metadata_with(tmp_path, ["1.10", "1.1", "1.100", "6.0", "6"]), IDS, "x", target)
    assert (truth.rows.tolist(), truth.values.tolist()) == ([0, 1, 4], [1, 0, 2])
    assert parse(ClassTarget, {"classes": ["a", "b"]}, "target") == replace(ClassTarget.of(["a", "b"]), as_written=False)


def test_the_samples_that_are_left_keep_their_cells(tmp_path):
    study = read_study(table_of(tmp_path, IDS), metadata=metadata_of(tmp_path, {"x": ["1.10", "1.1", "2", "3", "4"]}), by_id=True)
    part = study.with_samples(study.table.select_samples(["S3", "S0"]))
    assert part.written.index.tolist() == part.metadata.index.tolist() == ["S3", "S0"]
    assert part.labels("x").tolist() == ["3", "1.10"]
    np.testing.assert_array_equal(part.metadata["x"], [3, 1.1])
