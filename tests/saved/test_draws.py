"""Predictions from several rarefactions of each sample."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from aam.data.simulate import simulate, write_simulation
from aam.errors import InputError
from aam.learners.ensemble import EnsembleLearner
from aam.learners.transformer import TransformerLearner
from aam.options import ModelOptions, ReadOptions, TrainFitOptions
from aam.study.targets import RegressionTarget
from tests.support.commands import aam
from tests.support.studies import QUICK, problem_in, simulated_study

SHAPE = ModelOptions(embedding_dim=16, attention_heads=2, attention_layers=1)
LEARNERS = {
    "ensemble": EnsembleLearner(QUICK, jobs=1),
    "transformer": TransformerLearner(SHAPE, options=TrainFitOptions(epochs=1, batch_size=16)),
}


@pytest.fixture(scope="module")
def study():
    found = simulated_study()
    return replace(found, reads=ReadOptions(sampling_depth=int(found.table.depths.min()) // 4))


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("classes", [False, True])
def test_the_mean_and_spread_of_draws_are_those_of_single_predictions(study, name, classes):
    fitted = LEARNERS[name].fit(problem_in(study, classes=classes), np.arange(40))
    rows = np.arange(40, 48)
    mean, sd = fitted.predict_draws(study, 4, rows)
    each = np.stack([fitted.reseeded(fitted.info.seed + draw).predict(study, rows) for draw in range(4)])
    np.testing.assert_array_equal(each[0], fitted.predict(study, rows))
    np.testing.assert_allclose(mean, each.mean(axis=0))
    spread = each.std(axis=0, ddof=1)
    np.testing.assert_allclose(sd, spread[np.arange(8), mean.argmax(axis=1)] if classes else spread)
    assert sd.shape == (8,) and (sd > 0).any()
    again = fitted.predict_draws(study, 4, rows)
    np.testing.assert_array_equal(again[0], mean)
    one, none = fitted.predict_draws(study, 1, rows)
    np.testing.assert_array_equal(one, each[0])
    assert not none.any()


def test_quantiles_that_are_learned_stand_around_the_mean_of_draws(study):
    problem = problem_in(study)
    problem = replace(problem, target=RegressionTarget("none", loss_type="quantile", low=float(problem.truth.min())))
    fitted = LEARNERS["transformer"].fit(problem, np.arange(40))
    single, (mean, _) = fitted.quantiles(study), fitted.predict_draws(study, 4)
    np.testing.assert_array_equal(fitted.banded(study, fitted.predict(study)), single)
    around = fitted.banded(study, mean)
    np.testing.assert_allclose(around[:, 1], mean)
    assert (np.diff(around, axis=1) >= 0).all() and not np.array_equal(mean, single[:, 1])


def test_a_model_of_all_reads_has_no_draws():
    study = simulated_study()
    fitted = LEARNERS["transformer"].fit(problem_in(study), study.rows)
    with pytest.raises(InputError, match=r"`draws=10`: the model reads all reads .* train with `sampling_depth`"):
        fitted.predict_draws(study, 10)
    for wrong in (0, 2.5, True):
        with pytest.raises(InputError, match="at least 1"):
            fitted.predict_draws(study, wrong)


def test_the_command_writes_the_spread_beside_the_predictions(study, tmp_path):
    write_simulation(simulate(0, n_samples=48, n_asvs=50, length=40), tmp_path)
    fitted = LEARNERS["ensemble"].fit(problem_in(study), study.rows)
    fitted.save(tmp_path / "model")
    given = ["predict", "--model", tmp_path / "model", "--table", tmp_path / "table.biom", "--output", tmp_path / "p.tsv"]
    aam(*given, "--draws", 3)
    mean, sd = fitted.predict_draws(study, 3)
    np.testing.assert_allclose(pd.read_csv(tmp_path / "p.tsv", sep="\t")["prediction"], mean)
    np.testing.assert_allclose(pd.read_csv(tmp_path / "p_intervals.tsv", sep="\t")["sd"], sd, atol=1e-12)
    whole = LEARNERS["ensemble"].fit(problem_in(replace(study, reads=ReadOptions())), study.rows)
    whole.save(tmp_path / "model")
    assert "error: --draws 3: the model reads all reads" in aam(*given, "--draws", 3, "--overwrite", code=2)
