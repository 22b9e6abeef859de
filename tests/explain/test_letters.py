"""Gradients in the nucleotides of an ASV: they add up, and are what an explanation of a transformer by gradients says."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from aam.data.sequences import Nucleotide
from aam.explain.letters import SoftAsv, gradients_by_position, with_gradients
from aam.explain.nucleotides import effects_of, samples_with
from aam.explain.page import explanation_page
from aam.explain.summary import ranked
from aam.learners.ensemble import EnsembleLearner
from aam.learners.transformer import TransformerLearner
from aam.models.inference import embed_asvs
from aam.options import ModelOptions, TargetOptions, TrainFitOptions
from aam.study.problem import pose
from tests.explain.test_nucleotides import small_transformer
from tests.support.encoders import make_batch, make_encoder
from tests.support.explained import OPTIONS
from tests.support.studies import simulated_study


@pytest.mark.parametrize("position_encoding", ["rotary", "learned"])
def test_mixtures_of_one_letter_are_encoded_as_the_letter(position_encoding):
    encoder = make_encoder(position_encoding=position_encoding).asv_encoder
    tokens, _, _ = make_batch(1, 5, 2, 3, mixed_lengths=False)
    tokens[2, 4] = Nucleotide.MASK
    with torch.no_grad():
        whole = torch.nn.functional.one_hot(tokens.long(), len(Nucleotide)).double()
        torch.testing.assert_close(SoftAsv(encoder)(whole), encoder(tokens))


@pytest.mark.parametrize("output", [0, 2])
def test_gradients_by_position_add_up_and_leave_ambiguous_letters_out(output):
    pytest.importorskip("captum", reason="the extra explain is not installed")
    sequences, tokens = small_transformer(3 if output else 1)
    tokens[2, 5] = Nucleotide.MASK
    sequences = replace(sequences, vectors=embed_asvs(sequences.model.base_model.asv_encoder, tokens).numpy())
    rows = samples_with(sequences.counts, 2, np.arange(4))
    found = gradients_by_position(sequences, 2, tokens[2], rows, output)
    assert found.complete
    assert found.values.shape == (12,)
    assert found.values[4] == 0
    assert (found.values[[0, 1, 2, 3, 5]] != 0).all()
    np.testing.assert_allclose(found.values.sum(), found.end - found.start, rtol=0.01, atol=1e-5 * (1 + abs(found.end[0])))
    np.testing.assert_allclose(found.end, sequences.say(2, rows, tokens[[2]])[0, :, [output]].mean(axis=1), rtol=1e-4)


def test_effects_keep_their_substitutions_and_say_by_what_they_are():
    pytest.importorskip("captum", reason="the extra explain is not installed")
    sequences, tokens = small_transformer(3)
    effects = effects_of(sequences, 2, tokens[2], np.array([0, 2]), 1)
    found = with_gradients(sequences, effects, tokens[2], 1)
    np.testing.assert_array_equal(found.substitutions, effects.substitutions)
    np.testing.assert_array_equal(found.by_position, gradients_by_position(sequences, 2, tokens[2], effects.rows, 1).values)
    assert (found.method, effects.method) == ("gradients", "other letters")
    assert not np.allclose(found.by_position, effects.by_position)


@pytest.fixture(scope="module")
def study():
    return simulated_study(n_samples=24, n_asvs=20)


@pytest.fixture(scope="module")
def transformer(study):
    """It tells which of four studies a sample is of."""
    shape = ModelOptions(embedding_dim=16, attention_heads=2, attention_layers=1)
    problem = pose(study, TargetOptions(metadata_column="study", classifier=True))
    return TransformerLearner(shape, options=TrainFitOptions(epochs=1, batch_size=8)).fit(problem, study.rows)


def values_written(explanation, folder):
    """By position, of each ASV in nucleotides.tsv."""
    explanation.write(folder)
    table = pd.read_csv(folder / "nucleotides.tsv", sep="\t")
    return table, {feature: part["value"].to_numpy() for feature, part in table.groupby("feature")}


def test_of_a_transformer_by_gradients_those_of_nucleotides_are_written(study, transformer, tmp_path):
    pytest.importorskip("captum", reason="the extra explain is not installed")
    explanation = transformer.explain(study, method="gradients", max_samples=12)
    table, written = values_written(explanation, tmp_path)
    assert set(table["method"]) == {"gradients"}
    sequences, rows = transformer.reader(study).sequences(), explanation.attributions[0].samples
    importance = explanation.importances[0]
    asvs, outputs = ranked(importance)[:4], importance.spread.argmax(axis=1)
    assert set(written) == {study.table.feature_ids[asv] for asv in asvs}
    assert outputs[asvs].any()
    for asv in asvs:
        some = samples_with(sequences.counts, asv, rows)
        wanted = gradients_by_position(sequences, asv, study.asv_tokens[asv], some, outputs[asv]).values
        np.testing.assert_allclose(written[study.table.feature_ids[asv]], wanted, rtol=1e-4, atol=1e-9)
    page = (tmp_path / "explain.html").read_text()
    assert "A, C, G and T in equal parts at all positions (integrated gradients)" in page
    # What is shown along an alignment is by exchanges.
    assert explanation.aligned.logo.method == "other letters"
    assert "by its own nucleotides, beside the mean of the three others" in page


def test_of_other_methods_and_of_ensembles_nucleotides_are_as_they_are(study, transformer, tmp_path):
    pytest.importorskip("captum", reason="the extra explain is not installed")
    ensemble = EnsembleLearner(OPTIONS, jobs=1).fit(pose(study, TargetOptions(metadata_column="age")), study.rows)
    beside = {"unknown letter": "an unknown one in its place", "other letters": "the mean of the three others in its place"}
    for model, method, by in ((ensemble, "gradients", "unknown letter"), (transformer, "deletion", "other letters")):
        explanation = model.explain(study, method=method, max_samples=12)
        table, written = values_written(explanation, tmp_path / method)
        assert set(table["method"]) == {by}
        sequences, rows = model.reader(study).sequences(), explanation.attributions[0].samples
        importance = explanation.importances[0]
        for asv in ranked(importance)[:4]:
            some, output = samples_with(sequences.counts, asv, rows), importance.spread[asv].argmax()
            wanted = effects_of(sequences, asv, study.asv_tokens[asv], some, output).by_position
            np.testing.assert_allclose(written[study.table.feature_ids[asv]], wanted, rtol=1e-4, atol=1e-9)
        assert f"what the nucleotide adds beside {beside[by]}, in" in explanation_page(explanation)
        assert not any("by nucleotide" in warning for warning in explanation.warnings)


def test_gradients_by_nucleotide_that_do_not_add_up_are_said(study, transformer):
    pytest.importorskip("captum", reason="the extra explain is not installed")
    predictor = deepcopy(transformer.predictor)
    # So sure of where to look that it jumps from one position to another on the way from the mixture to the sequence.
    with torch.no_grad():
        predictor.base_model.asv_encoder.pooling.score.weight.mul_(1e6)
    jumping = replace(transformer, predictor=predictor, encoder=predictor.base_model)
    found = jumping.explain(study, method="gradients", max_samples=6)
    incomplete = sum(not one.complete for one in found.nucleotides)
    assert incomplete > 0
    said = [warning for warning in found.warnings if "by nucleotide that do not add up" in warning]
    assert len(said) == 1
    assert said[0].startswith(f"{incomplete} of 4 ASVs ha")
