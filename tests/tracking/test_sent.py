"""What may be told of a run: options without values, models without ids and names."""

import json
import shutil
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest

from aam import load, read_study
from aam.cli.configs import EvaluateConfig, PretrainConfig, TrainConfig
from aam.cli.options import OutputOptions
from aam.options import ReadOptions, SampleOptions, TableOptions, TargetOptions
from aam.tracking.sent import GIVEN, copy_model, told
from tests.support.released import RELEASED

CLASSES = RELEASED / "0.1.0" / "classes"


def config(**target):
    return TrainConfig(
        data=TableOptions(table=Path("/home/jane/patient_7/table.biom"), more_tables=(Path("/a/b.biom"), Path("c.biom"))),
        samples=SampleOptions(metadata=(Path("/home/jane/metadata.tsv"),), where="subject = 'jane'", group_column="subject"),
        target=TargetOptions(metadata_column="disease", **target),
        reads=ReadOptions(sampling_depth=1000),
        output=OutputOptions(output_dir=Path("/home/jane/out"), overwrite=True),
    )


def test_options_are_told_without_values_of_metadata_and_without_folders():
    classes = {"class_order": "jane,joe", "class_weights": "jane=1,joe=2", "loss_type": "ordinal"}
    found = told(config(classifier=True, categorical_columns=("sex", "site"), **classes))
    assert found["table"] == "table.biom"
    assert found["more_tables"] == "b.biom, c.biom"
    assert found["where"] == found["class_order"] == found["class_weights"] == GIVEN
    assert (found["group_column"], found["metadata_column"], found["categorical_columns"]) == ("subject", "disease", "sex, site")
    assert (found["sampling_depth"], found["classifier"], found["recipe"], found["lr"]) == (1000, True, "ensemble", 5e-4)
    assert "jane" not in repr(found)
    assert not {"output_dir", "overwrite", "resume", "config", "cache_dir", "track"} & set(found)
    assert "lr" not in told(config(), unused={"lr"})
    # What is not given is not told, and a default is no value of anybody's metadata.
    assert told(config())["class_weights"] == "balanced"
    assert "class_order" not in told(config())


def texts(kind):
    """Options of a command that are free text."""
    for field in fields(kind):
        hint = get_type_hints(kind)[field.name]
        if hasattr(hint, "__dataclass_fields__"):
            yield from texts(hint)
        elif hint in (str, str | None, tuple[str, ...]):
            yield field.name


def test_every_option_that_is_free_text_is_known_to_be_safe_or_is_not_told():
    found = {name for kind in (PretrainConfig, TrainConfig, EvaluateConfig) for name in texts(kind)}
    values = {"where", "missing_values", "output_range", "class_weights", "class_order", "target_weights"}
    columns = {name for name in found if name.endswith(("_column", "_columns"))}
    assert found == values | columns | {"encoder_type", "augment", "quantiles", "track"}


@pytest.mark.parametrize("name", ["classes", "number", "encoder", "ensemble"])
def test_a_copied_model_predicts_the_same_and_names_nobody(name, tmp_path):
    folder = RELEASED / "0.1.0" / name
    copy_model(folder, tmp_path / "copy")
    assert (tmp_path / "copy" / "samples.txt").read_text() == ""
    before, after = load(folder), load(tmp_path / "copy")
    study = (
        read_study(RELEASED / "0.1.0" / "table.biom", metadata=RELEASED / "0.1.0" / "metadata.tsv") if name != "number" else None
    )
    if study is not None:
        how = "embed" if name == "encoder" else "predict"
        assert (getattr(before, how)(study) == getattr(after, how)(study)).all()
    written = b"".join(path.read_bytes() for path in (tmp_path / "copy").iterdir())
    assert b"samples" in written
    for value in (*(folder / "samples.txt").read_text().split(), '"case"', '"control"', '"female"', '"male"'):
        assert value.encode() not in written


def test_classes_and_levels_keep_their_order(tmp_path):
    copy_model(CLASSES, tmp_path / "copy")
    assert load(tmp_path / "copy").target.target.classes == ("class 1", "class 2")


def test_what_else_lies_in_a_model_folder_is_not_copied(tmp_path):
    shutil.copytree(CLASSES, tmp_path / "model")
    (tmp_path / "model" / "notes.pkl").write_bytes(b"pickle")
    copy_model(tmp_path / "model", tmp_path / "copy")
    assert {path.name for path in (tmp_path / "copy").iterdir()} == {"config.json", "model.safetensors", "README.md", "samples.txt"}


def test_what_is_promised_of_a_prediction_is_rounded_up(tmp_path):
    shutil.copytree(CLASSES, tmp_path / "model")
    config = json.loads((CLASSES / "config.json").read_text())
    config["target"] |= {"intervals": {"50": 0.5012345, "80": 0.5, "90": 0.9991234, "95": 12.31, "99": None}}
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    copy_model(tmp_path / "model", tmp_path / "copy")
    kept = json.loads((tmp_path / "copy" / "config.json").read_text())["target"]["intervals"]
    assert kept == {"50": 0.51, "80": 0.5, "90": 1.0, "95": 13.0, "99": None}
