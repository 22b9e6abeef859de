"""A number scaled within levels."""

import json
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest

from aam.errors import InputError
from aam.options import TargetOptions
from aam.study.levels import Levels
from aam.study.problem import pose
from aam.study.targets import RegressionTarget
from tests.support.studies import simulated_study

LABELS = np.array(["a"] * 10 + ["b"] * 20 + ["c"] * 2, dtype=object)


def truth():
    rng = np.random.default_rng(0)
    return np.where(LABELS == "a", 5 + rng.normal(size=32), 100 + 20 * rng.normal(size=32))


def test_each_level_has_its_own_mean_and_spread(caplog):
    values, levels = truth(), Levels("site").fit(truth(), LABELS)
    assert levels.names == ("a", "b")
    assert "too few samples" in caplog.text
    common = levels.to_common(values, LABELS)
    for name in levels.names:
        part = values[name == LABELS]
        expected = (part - part.mean()) / part.std() * values.std() + values.mean()
        np.testing.assert_allclose(common[name == LABELS], expected)
    # A level of two samples, and one that is not known, are the average one.
    np.testing.assert_allclose(common[LABELS == "c"], values[LABELS == "c"])
    np.testing.assert_allclose(levels.from_common(common, LABELS), values)
    np.testing.assert_allclose(levels.from_common(np.stack([common, common], axis=1), LABELS)[:, 1], values)
    assert levels.from_common(np.array([7.0]), np.array(["new"], dtype=object)) == pytest.approx(7.0)
    assert Levels(**json.loads(json.dumps(asdict(levels)))) == levels


def test_a_problem_is_learned_in_units_of_the_level_and_read_back_in_its_own():
    study = simulated_study()
    options = TargetOptions(metadata_column="age", target_transform="zscore-within", within_column="study", output_range="0,")
    problem = pose(study, options)
    rows = np.arange(0, len(study), 2)
    fitted = problem.fitted_to(rows)
    labels = study.labels("study")
    for name in fitted.target.levels.names:
        own = fitted.learned[rows][labels[rows] == name]
        assert own.mean() == pytest.approx(0, abs=1e-5)
        assert own.std() == pytest.approx(1, abs=1e-5)
    decoded = fitted.target.decode(fitted.learned.astype(float))
    np.testing.assert_allclose(fitted.placed(decoded, np.arange(len(study))), problem.truth, rtol=1e-5)
    assert (fitted.placed(decoded - 1e6, np.arange(len(study))) == 0).all()


def test_a_study_needs_the_column():
    study = simulated_study()
    with pytest.raises(InputError, match="has no column site: the model scales its target within that"):
        Levels("site").of_study(study)
    with pytest.raises(InputError, match="`metadata` is missing"):
        Levels("study").of_study(replace(study, metadata=None, written=None))
    labels = Levels("study", names=("x",), means=(0.0,), deviations=(1.0,)).of_study(study)
    assert list(labels) == list(pd.Series(study.metadata["study"]).astype(str))


@pytest.mark.parametrize("options", [{"within_column": "site"}, {"target_transform": "zscore-within"}])
def test_column_and_transform_belong_together(options):
    with pytest.raises(InputError, match="belong together"):
        TargetOptions(metadata_column="age", **options)


def test_broken_levels_are_refused():
    with pytest.raises(ValueError, match="without a mean"):
        Levels("site", names=("a",))
    with pytest.raises(ValueError, match="not above 0"):
        Levels("site", deviation=0.0)
    assert RegressionTarget("zscore-within").levels is None
