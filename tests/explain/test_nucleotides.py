"""Effects of nucleotides: equal to those of a study with another sequence, and where a planted motif is."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse

from aam.data.sequences import tokenize
from aam.ensemble.calibration import Calibration
from aam.ensemble.catalogue import letters_of
from aam.errors import InputError
from aam.explain.letters import with_gradients
from aam.explain.links import Outputs
from aam.explain.logo import logo_of
from aam.explain.nucleotides import EnsembleSequences, TransformerSequences, effects_of, samples_with, substitutions_of
from aam.explain.scale import of_predictions
from aam.learners.ensemble import EnsembleLearner
from aam.learners.transformer import TransformerLearner
from aam.models.inference import embed_asvs
from aam.options import EnsembleOptions, ModelOptions, TrainFitOptions
from tests.support.encoders import make_batch
from tests.support.explained import ensemble_of, transformer_of
from tests.support.motifs import motif_problem, recall


def test_all_substitutions_of_known_letters():
    tokens = tokenize(["ACGNT", "AC"], ["a", "b"], 9)
    mutants, position, letter = substitutions_of(tokens[0])
    assert len(mutants) == 12
    assert sorted(set(position)) == [0, 1, 2, 4]
    for mutant, where, what in zip(letters_of(mutants), position, letter, strict=True):
        assert mutant == "ACGNT"[:where] + "ACGT"[what] + "ACGNT"[where + 1 :] != "ACGNT"
    assert set(letters_of(substitutions_of(tokens[1])[0])) == {"CC", "GC", "TC", "AA", "AG", "AT"}


@pytest.mark.parametrize("classes", [0, 3])
def test_an_ensemble_says_what_it_would_of_a_study_with_that_sequence(classes):
    study, ensemble, table, outputs = ensemble_of(classes)
    asv = int(np.flatnonzero(table.identity)[3])
    rows = samples_with(study.counts, asv, study.rows, 3)
    mutants = np.vstack([study.asv_tokens[[asv]], substitutions_of(study.asv_tokens[asv])[0][[5, 40]]])
    found = EnsembleSequences(ensemble, table, outputs).say(asv, rows, mutants)
    for mutant, said in zip(mutants, found, strict=True):
        tokens = study.asv_tokens.copy()
        tokens[asv] = mutant
        changed = ensemble.catalogue.see(replace(study, asv_tokens=tokens))
        identity = changed.identity.copy()
        identity[asv] = 0
        wanted = ensemble.predict(replace(changed, identity=identity), rows)
        if classes:
            wanted = np.log(wanted / (1 - wanted))
        np.testing.assert_allclose(said, wanted.reshape(len(rows), -1), rtol=1e-4, atol=1e-5)
    assert np.ptp(found, axis=0).max() > 1e-4


def test_what_an_ensemble_is_sure_of_is_on_the_scale_of_deletion():
    study, ensemble, table, outputs = ensemble_of(2)
    sure = replace(ensemble, combination=replace(ensemble.combination, overall=Calibration(20.0, (0.0, 0.0))))
    # Of an ASV that is not known, what it says of the sequence that is there is what it predicts.
    asv = int(np.flatnonzero(table.identity)[3])
    unknown = replace(table, identity=np.where(np.arange(len(table.identity)) == asv, 0, table.identity))
    rows = np.flatnonzero(study.counts[:, [asv]].toarray().ravel())
    predicted = sure.predict(unknown, rows)
    assert predicted.min() < 1e-12
    said = EnsembleSequences(sure, table, outputs).say(asv, rows, study.asv_tokens[[asv]])[0]
    np.testing.assert_allclose(said, of_predictions(predicted), rtol=1e-4, atol=1e-4)


def test_a_model_of_features_without_sequences_knows_no_nucleotides():
    _, ensemble, table, outputs = ensemble_of()
    named = replace(ensemble, catalogue=replace(ensemble.catalogue, by_id=True))
    with pytest.raises(InputError, match="by their IDs"):
        EnsembleSequences(named, table, outputs)


def small_transformer(outputs=1):
    """One with four samples of eight ASVs."""
    model, about = transformer_of(outputs)
    tokens = make_batch(0, 8, 2, 3, mixed_lengths=False)[0].numpy()
    counts = sparse.csr_array(np.random.default_rng(0).integers(0, 4, (4, 8)) + np.eye(4, 8, dtype=np.int64))
    return TransformerSequences(model, embed_asvs(model.base_model.asv_encoder, tokens).numpy(), counts, about), tokens


def test_a_transformer_says_what_it_would_of_a_study_with_that_sequence():
    sequences, tokens = small_transformer(3)
    rows = samples_with(sequences.counts, 2, np.arange(4))
    mutants = substitutions_of(tokens[2])[0][[3, 20]]
    found = sequences.say(2, rows, mutants)
    for mutant, said in zip(mutants, found, strict=True):
        changed = tokens.copy()
        changed[2] = mutant
        dense = torch.from_numpy(sequences.counts.toarray()[rows].astype(np.float32))
        with torch.no_grad():
            p = sequences.model(torch.from_numpy(changed), torch.arange(8).expand(len(rows), -1), dense).target.softmax(dim=1)
        np.testing.assert_allclose(said, (p / (1 - p)).log(), rtol=1e-3, atol=1e-4)


def test_by_position_is_what_the_other_letters_take_away():
    sequences, tokens = small_transformer()
    found = effects_of(sequences, 2, tokens[2], np.array([0, 2]))
    assert found.substitutions.shape == (12, 4)
    own = [("ACGT").index(letter) for letter in found.letters]
    assert (found.substitutions[np.arange(12), own] == 0).all()
    np.testing.assert_allclose(found.by_position, -found.substitutions.sum(axis=1) / 3)
    assert found.method == "other letters"
    said = sequences.say(2, np.array([0, 2]), np.vstack([tokens[[2]], substitutions_of(tokens[2])[0]]))[:, :, 0].mean(axis=1)
    np.testing.assert_allclose(found.substitutions[found.substitutions != 0], said[1:] - said[0], rtol=1e-6)


def test_samples_with_most_of_an_asv():
    counts = sparse.csr_array(np.array([[1, 9], [5, 5], [0, 4], [3, 1], [9, 1]]))
    assert samples_with(counts, 0, np.array([4, 2, 0, 1]), 2).tolist() == [4, 1]
    assert samples_with(counts, 0, np.array([2])).tolist() == []


def carriers_by_reads(problem, carriers, number):
    reads = np.asarray(problem.study.counts[:, carriers].sum(axis=0)).ravel()
    return carriers[np.argsort(-reads)[:number]]


def test_an_asv_of_no_sample_has_no_effects():
    sequences, tokens = small_transformer()
    with pytest.raises(InputError, match="feature 3 of the table"):
        effects_of(sequences, 2, tokens[2], np.zeros(0, dtype=np.int64))


@pytest.fixture(scope="module")
def motif_reader():
    """A transformer that learned a planted motif, tokens of the ASVs, effects in ten that have the motif, and its positions."""
    problem, carriers, positions = motif_problem(n_samples=240, n_asvs=200, length=40, place=15)
    model = ModelOptions(embedding_dim=32, attention_heads=2, attention_layers=1, ffn_ratio=2)
    learner = TransformerLearner(model, options=TrainFitOptions(epochs=16, lr=3e-3, batch_size=8), show=False)
    study, fitted = problem.study, learner.fit(problem, problem.study.rows)
    vectors = embed_asvs(fitted.encoder.asv_encoder, study.asv_tokens).numpy()
    sequences = TransformerSequences(fitted.predictor, vectors, study.counts, Outputs.of(fitted.target.target, "load"))
    found = effects_of_all(sequences, problem, carriers_by_reads(problem, carriers, 10))
    return sequences, study.asv_tokens, found, positions


@pytest.mark.slow
def test_a_transformer_reads_a_planted_motif(motif_reader):
    _, _, found, positions = motif_reader
    assert np.mean([recall(one.by_position, positions) for one in found]) >= 0.8
    assert recall(np.mean([one.by_position for one in found], axis=0), positions) >= 0.8


@pytest.mark.slow
def test_gradients_find_a_planted_motif_too(motif_reader):
    pytest.importorskip("captum", reason="the extra explain is not installed")
    sequences, tokens, found, positions = motif_reader
    by_gradients = [with_gradients(sequences, one, tokens[one.asv], 0) for one in found]
    assert all(one.complete for one in by_gradients)
    assert np.mean([recall(one.by_position, positions) for one in by_gradients]) >= 0.7


@pytest.mark.slow
def test_an_ensemble_reads_a_planted_motif_over_many_asvs():
    problem, carriers, positions = motif_problem(n_samples=200, n_asvs=150)
    fitted = EnsembleLearner(EnsembleOptions(trees=False), jobs=1).fit(problem, problem.study.rows)
    sequences = EnsembleSequences(fitted.ensemble, fitted.see(problem.study), Outputs.of(fitted.target.target, "load"))
    found = effects_of_all(sequences, problem, carriers_by_reads(problem, carriers, 10))
    # Its words of six letters are seen through directions that many ASVs share: of one ASV alone they say little.
    assert recall(logo_of(found).effect, positions) >= 0.8


def effects_of_all(sequences, problem, asvs):
    """Of each ASV in the four samples that have most of it."""
    study = problem.study
    rows = [samples_with(study.counts, int(asv), study.rows, 4) for asv in asvs]
    return [effects_of(sequences, int(asv), study.asv_tokens[asv], some) for asv, some in zip(asvs, rows, strict=True)]
