"""What every fitted model promises: prediction intervals, and that it is the same once it was saved."""

import pickle
import warnings
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aam.ensemble.members import WITHOUT_TREES
from aam.errors import InputError
from aam.learners.ensemble import EnsembleLearner
from aam.learners.pretraining import PretrainingLearner
from aam.learners.transformer import GivenEncoder, TransformerLearner, calibrated
from aam.options import ExplainOptions, FitOptions, ModelOptions, ReadOptions, TargetOptions, TrainFitOptions
from aam.saved.fitted import Fitted
from aam.saved.load import load
from aam.scoring.intervals import thresholds
from aam.study.problem import pose
from tests.support.released import RELEASED
from tests.support.studies import QUICK, problem_in, simulated_study, without_sequences

SHAPE = ModelOptions(embedding_dim=16, attention_heads=2, attention_layers=1)
LEARNED, OTHERS = np.arange(40), np.arange(40, 48)


@pytest.fixture(scope="module")
def study():
    return simulated_study()


def with_intervals(number, intervals):
    return replace(number, info=replace(number.info, target=replace(number.target, intervals=intervals)))


NUMBER = load(RELEASED / "0.1.0" / "number")
MANY = with_intervals(NUMBER, thresholds(np.random.default_rng(0).exponential(size=300), np.arange(300) // 2))


@given(st.floats(0.5, 0.99), st.floats(0.5, 0.99))
def test_a_higher_coverage_is_a_wider_interval(first, second):
    low, high = sorted((first, second))
    assert 0 <= MANY.limit(low) <= MANY.limit(high)


def test_a_coverage_is_no_less_than_was_asked_for():
    assert MANY.limit(0.801) == MANY.limit(0.81)
    assert MANY.limit() == MANY.limit(0.9) == MANY.target.intervals["90"]


@pytest.mark.parametrize("coverage", [0.0, 0.49, 0.995, 1.0, 90, -0.9, float("nan"), "a", None])
def test_an_unknown_coverage_is_refused(coverage):
    with pytest.raises(InputError, match=f"`coverage={coverage}`: must be from 0.5 to 0.99"):
        MANY.limit(coverage)


def test_without_enough_groups_a_coverage_is_not_known():
    few = with_intervals(NUMBER, thresholds(np.arange(5.0), np.arange(5)))
    assert few.limit(0.8) == 4
    for fitted in (few, with_intervals(NUMBER, {})):
        with pytest.raises(InputError, match="prediction intervals of 90 % are not known: too few groups"):
            fitted.limit()


def same_when_loaded(fitted, folder, study):
    fitted.save(str(folder))
    loaded = load(folder)
    assert type(loaded) is type(fitted)
    assert loaded.info == fitted.info
    assert {path.name for path in folder.iterdir()} >= {"config.json", "model.safetensors", "README.md", "samples.txt"}
    return loaded


def test_an_ensemble_whose_middle_counts_is_the_same_when_it_is_loaded(study, tmp_path):
    fitted = EnsembleLearner(QUICK, jobs=1).fit(problem_in(study), LEARNED)
    about = {"weights": dict.fromkeys(fitted.ensemble.members, 1 / len(fitted.ensemble.members)), "middle": 1 / 3}
    middle = replace(fitted, ensemble=replace(fitted.ensemble, combination=replace(fitted.ensemble.combination, **about)))
    loaded = same_when_loaded(middle, tmp_path / "model", study)
    np.testing.assert_array_equal(loaded.predict(study), middle.predict(study))
    mean = replace(middle, ensemble=replace(middle.ensemble, combination=replace(middle.ensemble.combination, middle=1.0)))
    assert np.abs(loaded.predict(study) - mean.predict(study)).max() > 0


@pytest.mark.parametrize("classes", [False, True])
def test_an_ensemble_is_the_same_to_the_bit_when_it_is_loaded(study, tmp_path, classes):
    fitted = EnsembleLearner(QUICK, jobs=1).fit(problem_in(study, classes=classes), LEARNED)
    assert fitted.info.learned_from == study.ids(LEARNED)
    assert fitted.limit() > 0
    loaded = same_when_loaded(fitted, tmp_path / "model", study)
    np.testing.assert_array_equal(loaded.predict(study), fitted.predict(study))
    np.testing.assert_array_equal(loaded.predict(study, OTHERS), fitted.predict(study, OTHERS))
    np.testing.assert_array_equal(loaded.novelty(study), fitted.novelty(study))
    bare = fitted.of(WITHOUT_TREES)
    assert bare.ensemble.members.keys() == set(WITHOUT_TREES)
    np.testing.assert_array_equal(same_when_loaded(bare, tmp_path / "bare", study).predict(study), bare.predict(study))
    with pytest.raises(ValueError, match="cannot be weighed anew"):
        loaded.of(WITHOUT_TREES)


def test_an_ensemble_draws_the_same_reads_when_it_is_loaded(study, tmp_path):
    reads = ReadOptions(sampling_depth=200, token_limit=15, asv_sampling="random")
    rarefied = study.read_as(reads)
    fitted = EnsembleLearner(QUICK, seed=3, jobs=1).fit(problem_in(rarefied), LEARNED)
    loaded = same_when_loaded(fitted, tmp_path / "model", study)
    assert loaded.info.reads == reads
    # Of all reads, which are drawn from as they were.
    np.testing.assert_array_equal(loaded.predict(study), fitted.predict(rarefied))
    np.testing.assert_array_equal(loaded.predict(rarefied.drawn(3)), fitted.predict(rarefied))


def test_an_ensemble_of_features_without_sequences_knows_them_by_their_ids(study, tmp_path):
    named = without_sequences(study)
    filters = list(warnings.filters)
    with warnings.catch_warnings(action="error", category=UserWarning):
        # Whoever asked for it, or had no sequences, knows.
        fitted = EnsembleLearner(QUICK, jobs=1).fit(problem_in(named), LEARNED)
    assert filters == warnings.filters
    loaded = same_when_loaded(fitted, tmp_path / "model", named)
    assert (tmp_path / "model" / "asvs.txt").read_text().splitlines()[0].startswith("taxon ")
    np.testing.assert_array_equal(loaded.predict(named), fitted.predict(named))
    assert loaded.novelty(named) is fitted.novelty(named) is None


@pytest.fixture(scope="module")
def encoder(study):
    learner = PretrainingLearner(SHAPE, options=FitOptions(epochs=1, batch_size=8))
    return learner.fit(study, LEARNED)


def test_an_encoder_is_the_same_to_the_bit_when_it_is_loaded(study, encoder, tmp_path):
    assert set(encoder.info.learned_from) == set(study.ids(LEARNED))
    loaded = same_when_loaded(encoder, tmp_path / "model", study)
    np.testing.assert_array_equal(loaded.embed(study), encoder.embed(study))
    np.testing.assert_array_equal(loaded.embed_asvs(study), encoder.embed_asvs(study))
    assert loaded.info.unifrac_metric == "unweighted"


@pytest.mark.parametrize("column", ["age", "disease"])
def test_a_transformer_is_the_same_to_the_bit_when_it_is_loaded(study, encoder, tmp_path, column):
    target = TargetOptions(metadata_column=column, classifier=column == "disease", categorical_columns=("sex",))
    problem = pose(study, target, "subject")
    learner = TransformerLearner(SHAPE, options=TrainFitOptions(epochs=1, batch_size=8), start=GivenEncoder(encoder))
    fitted = learner.fit(problem, LEARNED)
    fitted = calibrated(fitted, problem, OTHERS, fitted.predict(study, OTHERS))
    loaded = same_when_loaded(fitted, tmp_path / "model", study)
    np.testing.assert_array_equal(loaded.predict(study), fitted.predict(study))
    np.testing.assert_array_equal(loaded.embed(study, OTHERS), fitted.embed(study, OTHERS))
    with pytest.raises(InputError, match="`metadata` is missing: this model was trained with the columns sex"):
        loaded.predict(replace(study, metadata=None))


def test_a_head_on_a_frozen_base_says_the_same_of_known_embeddings_and_of_new_ones(study, encoder, tmp_path):
    problem = pose(study, TargetOptions(metadata_column="age"), "subject")
    options = TrainFitOptions(epochs=2, batch_size=8)
    fitted = TransformerLearner(SHAPE, options=options, start=GivenEncoder(encoder), freeze_base=True).fit(problem, LEARNED)
    loaded = same_when_loaded(fitted, tmp_path / "model", study)
    np.testing.assert_allclose(loaded.predict(study), fitted.predict(study), rtol=1e-5)
    np.testing.assert_array_equal(loaded.embed(study), encoder.embed(study))


def test_a_model_replaces_nothing_but_a_model(encoder, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    (tmp_path / "a file").write_text("mine")
    for place, said in (("mine", "holds thesis.txt and no model"), ("a file", "is a file"), ("mine/..", "a folder of its own")):
        with pytest.raises(InputError, match=said):
            encoder.save(tmp_path / place)
    for place in (".", ".."):
        with pytest.raises(InputError, match="a folder of its own"):
            encoder.save(place)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == (tmp_path / "a file").read_text() == "mine"
    for _ in range(2):
        encoder.save(str(tmp_path / "new" / "model"))
    assert load(tmp_path / "new").info == load(tmp_path / "new" / "model").info


def test_a_pickle_of_a_frozen_base_holds_no_samples(study, encoder):
    learner = TransformerLearner(start=GivenEncoder(encoder), freeze_base=True, options=TrainFitOptions(epochs=1, batch_size=8))
    fitted = learner.fit(problem_in(study), LEARNED)
    assert fitted.embedded is not None
    again = pickle.loads(pickle.dumps(fitted))
    assert again.embedded is None
    np.testing.assert_array_equal(again.predict(study), fitted.predict(study))


def test_features_known_by_id_must_be_in_the_table(study):
    fitted = EnsembleLearner(QUICK, jobs=1).fit(problem_in(without_sequences(study)), LEARNED)
    assert not fitted.reads_sequences
    assert "by_id=True" in _card(fitted)
    other = without_sequences(study)
    other = replace(other, table=replace(other.table, feature_ids=tuple(f"x {name}" for name in other.table.feature_ids)))
    with pytest.raises(InputError, match="none of them is in the table"):
        fitted.predict(other)


def _card(fitted):
    with TemporaryDirectory() as folder:
        fitted.save(Path(folder) / "model")
        return (Path(folder) / "model" / "README.md").read_text()


def test_every_option_of_an_explanation_is_in_its_documentation():
    assert [name for name in (option.name for option in fields(ExplainOptions)) if f"`{name}`" not in Fitted.explain.__doc__] == []
