"""Attention in an explanation: arrays beside those of the model, files that hold them, pictures of them."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from aam.errors import InputError
from aam.explain import attended
from aam.explain.attention import faithfulness, of_asv, of_sample
from aam.explain.attention_picture import bars, heat_map, most_attended
from aam.explain.faithfulness import named_first
from aam.explain.files import importance_table
from aam.explain.page import explanation_page
from aam.explain.run import Asked, explain
from aam.explain.summary import summarise
from aam.learners.ensemble import EnsembleLearner
from aam.learners.transformer import TransformerLearner
from aam.options import ExplainOptions, ModelOptions, TrainFitOptions
from tests.support.studies import QUICK, problem_in, simulated_study

ROWS = np.arange(2, 34)


@pytest.fixture(scope="module")
def found():
    study = simulated_study(n_samples=36, n_asvs=40)
    shape = ModelOptions(embedding_dim=16, attention_heads=2, attention_layers=2)
    model = TransformerLearner(shape, options=TrainFitOptions(epochs=1, batch_size=8)).fit(problem_in(study), study.rows)
    reader = model.reader(study)
    return study, reader, explain(Asked(reader, study, "load", ROWS), ExplainOptions(method="attention"))


def test_scores_are_the_rollout_in_each_sample(found):
    study, reader, story = found
    scores, deletion = story.attention.attributions, story.attributions[0]
    assert (scores.method, deletion.method) == ("attention", "deletion")
    vectors = reader.vectors.cpu().numpy()
    for place in (0, 20):
        here, row = scores.sample == place, ROWS[place]
        one = of_sample(reader.predictor, vectors, reader.counts, row)
        np.testing.assert_array_equal(scores.feature[here], one.columns)
        np.testing.assert_allclose(scores.value[here, 0], one.score, rtol=1e-6)
        assert scores.value[here].sum() == pytest.approx(1)
    for asv, one in zip(story.attention.asvs, story.attention.nucleotides, strict=True):
        np.testing.assert_allclose(one.layers, of_asv(reader.predictor, study.asv_tokens[asv]).layers)


def test_it_is_labelled_by_how_faithful_it_was_found(found):
    _, reader, story = found
    label, deletion = story.attention.faithful, story.attributions[0]
    assert label == faithfulness(story.attention.attributions.value[:, 0], deletion)
    assert label.samples > 25
    named = replace(deletion, value=story.attention.attributions.value)
    assert story.attention.moved == named_first(reader, named)


def test_arrays_of_some_samples_are_written_and_read_without_pickle(found, tmp_path):
    _, _, story = found
    story.write(tmp_path)
    samples, asvs = attended.read_attention(tmp_path / "attention.npz")
    assert list(samples) == [story.sample_ids[place] for place in story.attention.places]
    assert len(samples) == 20
    assert len({one.columns.size for one, _ in samples.values()}) > 1
    for (one, ids), wanted in zip(samples.values(), story.attention.samples, strict=True):
        np.testing.assert_array_equal(one.layers, wanted.layers)
        np.testing.assert_array_equal(one.pooling, wanted.pooling)
        assert ids == tuple(story.asv_ids[column] for column in wanted.columns)
    assert list(asvs) == [story.asv_ids[asv] for asv in story.attention.asvs]
    for one, wanted in zip(asvs.values(), story.attention.nucleotides, strict=True):
        np.testing.assert_array_equal(one.layers, wanted.layers)
        np.testing.assert_array_equal(one.score, wanted.score)


def test_its_importance_counts_each_group_once(found, tmp_path):
    study, reader, story = found
    groups = np.array([f"host {row // 2 if row < 20 else 10}" for row in study.rows])
    asked = Asked(reader, replace(study, metadata=study.metadata.assign(host=groups)), "load", ROWS)
    explain(asked, ExplainOptions(method="attention", group_column="host", seed=3)).write(tmp_path)
    wanted = importance_table(summarise(story.attention.attributions, groups[ROWS], seed=3))
    written = pd.read_csv(tmp_path / "importance_attention.tsv", sep="\t", index_col="id")
    pd.testing.assert_frame_equal(written, wanted, rtol=1e-5, check_dtype=False)
    single = importance_table(summarise(story.attention.attributions)).loc[wanted.index]
    assert not np.allclose(single["importance"], wanted["importance"])


def test_few_arrays_are_kept_of_large_samples(found, monkeypatch):
    study, reader, story = found
    monkeypatch.setattr(attended, "_NUMBERS", 3 * story.attention.samples[0].layers.size)
    few = attended.attended_in(reader.sequences(), story.attributions[0], story.attention.asvs, study.asv_tokens)
    assert 1 <= len(few.samples) == len(few.places) < 10


def test_pictures_are_of_the_weights(found):
    _, _, story = found
    one = max(story.attention.samples, key=lambda some: some.columns.size)
    top = most_attended(one, 4)
    assert one.score[top].min() >= np.delete(one.score, top).max()
    picture = heat_map(one, ["a", "b", "c", "d"], "sample")
    shades = np.array(re.findall(r'opacity="([\d.]+)"', picture), dtype=float).reshape(4, 4)
    weights = one.layers.mean(axis=(0, 1))[top][:, top]
    np.testing.assert_allclose(shades, np.maximum(weights / weights.max(), 0.03), atol=0.006)
    letters = story.sequences[story.attention.asvs[0]]
    first = story.attention.nucleotides[0]
    picture = bars(first, letters, "ASV")
    high = np.array(re.findall(r'height="([\d.]+)"/>', picture), dtype=float)
    assert high.argmax() == first.score[1:].argmax()
    assert len(high) == len(letters)


def test_letters_beyond_those_that_are_read_are_not_shown(found):
    _, _, story = found
    page = explanation_page(replace(story, sequences=tuple(f"{sequence}ACGT" for sequence in story.sequences)))
    assert "What the model attends to" in page
    assert page == explanation_page(story)


def test_an_ensemble_is_refused_before_anything_is_read():
    study = simulated_study(n_samples=24, n_asvs=20)
    model = EnsembleLearner(QUICK, jobs=1).fit(problem_in(study), study.rows)
    with pytest.raises(InputError, match="`method=attention`: an ensemble has no attention"):
        model.explain(study, method="attention")
