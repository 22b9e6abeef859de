"""What explanations read of fitted models is what the models predict; shuffled models say something else."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from aam.ensemble.calibration import Calibration
from aam.errors import InputError
from aam.explain.scale import of_predictions
from aam.learners.ensemble import EnsembleLearner
from aam.learners.pretraining import PretrainingLearner
from aam.learners.transformer import TransformerLearner
from aam.options import FitOptions, ModelOptions, ReadOptions, TargetOptions, TrainFitOptions
from aam.saved.load import load
from aam.study.problem import pose
from tests.support.released import RELEASED
from tests.support.studies import QUICK, problem_in, simulated_study, without_sequences

SHAPE = ModelOptions(embedding_dim=16, attention_heads=2, attention_layers=1)
LEARNED = np.arange(40)


@pytest.fixture(scope="module")
def study():
    return simulated_study()


@pytest.fixture(scope="module")
def ensembles(study):
    return {classes: EnsembleLearner(QUICK, jobs=1).fit(problem_in(study, classes=classes), LEARNED) for classes in (False, True)}


@pytest.fixture(scope="module")
def transformers(study):
    found = {}
    for column in ("age", "disease"):
        target = TargetOptions(metadata_column=column, classifier=column == "disease", categorical_columns=("sex",))
        learner = TransformerLearner(SHAPE, options=TrainFitOptions(epochs=1, batch_size=8))
        found[column] = learner.fit(pose(study, target, "subject"), LEARNED)
    return found


@pytest.mark.parametrize("classes", [False, True])
def test_a_reader_of_an_ensemble_says_what_it_predicts(study, ensembles, classes):
    for middle in (1.0, 1 / 3):
        ensemble = ensembles[classes].ensemble
        fitted = replace(
            ensembles[classes], ensemble=replace(ensemble, combination=replace(ensemble.combination, middle=middle)), _seen={}
        )
        reader = fitted.reader(study)
        said = reader.read(reader.counts[[7, 3]], np.array([7, 3]))
        np.testing.assert_allclose(said.outputs, of_predictions(fitted.predict(study, np.array([7, 3]))), rtol=1e-5, atol=1e-6)
        # The mean of members is the ensemble's prediction where it is their mean.
        mean = np.tensordot(said.weights, said.members, axes=1)
        assert np.allclose(mean, said.outputs, atol=1e-9) == (middle == 1 or classes)
    assert said.weights.sum() == pytest.approx(1)
    present = (study.counts[LEARNED].toarray() > 0).sum(axis=0)
    np.testing.assert_array_equal(reader.known, present >= QUICK.known_asv_samples)
    assert reader.output_names == (("log-odds of many",) if classes else ("load",))
    assert reader.unit == ("log-odds" if classes else "units of load")


def test_a_number_is_in_its_own_unit_whatever_it_was_learned_as(study, ensembles):
    fitted = ensembles[False]
    target = replace(fitted.target, target=replace(fitted.target.target, transform="log-zscore", shift=2.0, scale=0.3))
    reader = replace(fitted, info=replace(fitted.info, target=target)).reader(study)
    plain = fitted.reader(study).read(reader.counts[LEARNED], LEARNED)
    said = reader.read(reader.counts[LEARNED], LEARNED)
    np.testing.assert_allclose(said.outputs, np.expm1(0.3 * plain.outputs + 2))
    np.testing.assert_allclose(said.members, np.expm1(0.3 * plain.members + 2))


@pytest.mark.parametrize("column", ["age", "disease"])
def test_a_reader_of_a_transformer_says_what_it_predicts(study, transformers, column):
    fitted, rows = transformers[column], np.array([44, 1, 9])
    reader = fitted.reader(study)
    expected = of_predictions(fitted.predict(study, rows))
    np.testing.assert_allclose(reader.read(reader.counts[rows], rows).outputs, expected, rtol=1e-3, atol=1e-4)
    # Of a made-up sample, with the metadata of the one that it stands for.
    counts = study.counts.toarray()
    counts[9, np.flatnonzero(counts[9])[0]] = 0
    other = replace(study, table=replace(study.table, counts=sparse.csr_array(counts)))
    said = reader.read(sparse.csr_array(counts[[9]]), np.array([9]))
    np.testing.assert_allclose(said.outputs, of_predictions(fitted.predict(other, np.array([9]))), rtol=1e-3, atol=1e-4)
    assert said.members.shape == (1, 1, 1)
    assert reader.known.all()
    assert not np.allclose(said.outputs, expected[2], rtol=1e-5)
    metadata = study.metadata.assign(sex=np.roll(study.metadata["sex"].to_numpy(), 1))
    design = fitted.reader(replace(study, metadata=metadata)).design
    assert (design != reader.design).any()


def test_models_that_draw_reads_are_read_as_they_draw(study):
    rarefied = study.read_as(ReadOptions(sampling_depth=200, token_limit=15, asv_sampling="random"))
    options = TrainFitOptions(epochs=1, batch_size=8, seed=3)
    for learner in (EnsembleLearner(QUICK, jobs=1, seed=3), TransformerLearner(SHAPE, options=options)):
        fitted = learner.fit(problem_in(rarefied), LEARNED)
        reader = fitted.reader(study)
        assert np.diff(reader.counts.indptr).max() <= 15
        said = reader.read(reader.counts, study.rows).outputs
        np.testing.assert_allclose(said[:, 0], fitted.predict(study), rtol=1e-3, atol=1e-4)


def test_features_without_sequences_are_read_too(study):
    named = without_sequences(study)
    fitted = EnsembleLearner(QUICK, jobs=1).fit(problem_in(named), LEARNED)
    np.testing.assert_allclose(fitted.reader(named).read(named.counts, named.rows).outputs[:, 0], fitted.predict(named), atol=1e-6)


def test_models_of_the_first_version_are_read(study):
    for name in ("number", "classes", "ensemble"):
        if (RELEASED / "0.1.0" / name).is_dir():
            fitted = load(RELEASED / "0.1.0" / name)
            said = fitted.reader(study).read(study.counts, study.rows)
            np.testing.assert_allclose(said.outputs, of_predictions(fitted.predict(study)), rtol=1e-3, atol=1e-4)
            assert np.isfinite(said.members).all()


@pytest.mark.parametrize("classes", [False, True])
def test_a_shuffled_ensemble_keeps_its_parts_and_nothing_that_it_learned(study, ensembles, classes, tmp_path):
    fitted = ensembles[classes]
    shuffled = fitted.shuffled(1)
    for name, several in fitted.ensemble.members.items():
        for member, other in zip(several, shuffled.ensemble.members[name], strict=True):
            before, after = member.arrays(), other.arrays()
            assert {part: value.shape for part, value in before.items()} == {part: value.shape for part, value in after.items()}
            for part, value in before.items():
                np.testing.assert_array_equal(np.sort(value, axis=None), np.sort(after[part], axis=None))
            said = [some.predict(fitted.see(study), study.rows) for some in (member, other)]
            assert np.isfinite(said[1]).all()
            assert not np.allclose(*said)
    shuffled.save(tmp_path / "model")
    np.testing.assert_allclose(load(tmp_path / "model").predict(study), shuffled.predict(study))
    np.testing.assert_array_equal(fitted.shuffled(1).predict(study), shuffled.predict(study))
    assert not np.allclose(fitted.shuffled(2).predict(study), shuffled.predict(study))


def test_a_shuffled_transformer_leaves_the_model_as_it_is(study, transformers):
    fitted = transformers["age"]
    before = fitted.predict(study)
    said = fitted.shuffled(0).predict(study)
    assert np.isfinite(said).all()
    assert not np.allclose(said, before, rtol=1e-2)
    np.testing.assert_array_equal(fitted.predict(study), before)


def test_an_encoder_has_nothing_to_explain(study):
    encoder = PretrainingLearner(SHAPE, options=FitOptions(epochs=1, batch_size=8)).fit(study, LEARNED)
    for ask in (lambda: encoder.reader(study), encoder.shuffled):
        with pytest.raises(InputError, match="predicts nothing that could be explained"):
            ask()


def test_a_model_that_says_the_same_of_all_samples_has_nothing_to_explain(study, ensembles):
    ensemble = ensembles[True].ensemble
    same = replace(ensemble.combination, overall=Calibration.shares(np.array([0, 1, 1]), 2))
    fitted = replace(ensembles[True], ensemble=replace(ensemble, combination=same), _seen={})
    with pytest.raises(InputError, match="says the same of load whichever ASVs are taken out"):
        fitted.explain(study)
