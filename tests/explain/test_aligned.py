"""Letters over many ASVs: what is shown along an alignment is that of the parts, and chance tells little."""

import re
from dataclasses import replace

import numpy as np
import pytest

from aam.data.sequences import Nucleotide
from aam.explain.aligned import aligned
from aam.explain.attributions import Importance
from aam.explain.features import asvs
from aam.explain.logo import logo_of, nearest, telling
from aam.explain.logo_picture import aligned_logo, telling_letters
from aam.explain.nucleotides import EnsembleSequences, effects_of, samples_with
from aam.explain.page import explanation_page
from tests.explain.stories import story_of
from tests.support.explained import ensemble_of

M = 40


@pytest.fixture(scope="module")
def model():
    study, ensemble, seen, outputs = ensemble_of()
    return study, EnsembleSequences(ensemble, seen, outputs)


def importance_of(study, mean):
    one = np.ones((M, 1))
    samples = np.bincount(study.table.counts.indices, minlength=M)
    return Importance(
        asvs(study.table.feature_ids), ("load",), mean[:, None], *[one] * 4, abs(mean)[:, None], one, one, samples, ("",) * M
    )


def varied(study):
    """The place of the sequences at which as many ASVs have A or G as have C or T."""
    return int(np.abs(np.array([[letter in "AG" for letter in row] for row in study.sequences]).mean(axis=0) - 0.5).argmin())


def by_column(study):
    """ASVs with A or G there add 1 to the prediction; one of them a little more."""
    effects = np.array([1.0 if sequence[varied(study)] in "AG" else 0.0 for sequence in study.sequences])
    effects[int(effects.argmax())] += 0.1
    return importance_of(study, effects)


def found_in(model, importance, study=None):
    study, sequences = study or model[0], model[1]
    return aligned(sequences, importance, study, study.rows)


def test_the_logo_is_that_of_the_first_asv_and_its_nearest(model):
    study, sequences = model
    importance = by_column(study)
    found = found_in(model, importance)
    first = int(importance.spread[:, 0].argmax())
    np.testing.assert_array_equal(found.related, nearest(sequences.vectors, first, np.flatnonzero(importance.samples), 8))
    assert found.related[0] == first
    wanted = logo_of(
        [
            effects_of(sequences, asv, study.asv_tokens[asv], samples_with(sequences.counts, asv, study.rows))
            for asv in found.related
        ]
    )
    assert found.logo.rows == wanted.rows
    np.testing.assert_allclose(found.logo.effect, wanted.effect)


def test_the_column_that_effects_come_from_tells_them_and_chance_does_not(model):
    study, _ = model
    found = found_in(model, by_column(study))
    assert found.told.share.argmax() == varied(study)
    assert found.told.share[varied(study)] > 0.95
    assert 0 < found.chance < 0.6
    random = found_in(model, importance_of(study, np.random.default_rng(0).normal(size=M)))
    assert random.told.share.max() < 2 * random.chance


def test_what_cannot_be_aligned_is_left_out_with_a_line(model, monkeypatch, caplog):
    study, _ = model
    tokens = study.asv_tokens.copy()
    tokens[0, len(study.sequences[0])] = Nucleotide.PAD
    shorter = replace(study, asv_tokens=tokens)
    monkeypatch.setitem(__import__("sys").modules, "pyfamsa", None)
    importance = by_column(study)
    assert found_in(model, importance) is not None
    assert found_in(model, importance, shorter) is None
    assert "needs pyfamsa" in caplog.text


def test_few_asvs_have_a_logo_alone(model):
    study, _ = model
    importance = by_column(study)
    few = replace(importance, samples=np.where(np.arange(M) < 12, importance.samples, 0))
    found = found_in(model, few)
    assert found.told is None
    assert found.related.max() < 12


def test_letters_of_a_column_add_up_to_what_it_adds(model):
    found = found_in(model, by_column(model[0])).logo
    picture = aligned_logo(found, "ASV", "years")
    drawn = re.findall(r"translate\(([\d.]+) ([\d.]+)\) scale\([\d.]+ ([\d.]+)\)", picture)
    heights = np.zeros(len(found.effect))
    for x, y, scale in np.array(drawn, dtype=float):
        heights[round((x - 22) / (430 / 50)) + 50 * int((y - 6) // 94)] += scale
    known = np.abs(found.effect) > 0.3 * np.abs(found.effect).max()
    ratio = heights[known] / np.abs(found.effect[known])
    np.testing.assert_allclose(ratio, np.median(ratio), rtol=0.15)


def test_bars_are_the_shares_and_columns_of_gaps_are_left_out():
    told = telling(["AC-GT", "AG-GT", "AC-GT", "AGTGT"], np.array([1.0, 0, 1, 0]), np.ones(4))
    picture = telling_letters(told, "ASVs")
    bars = np.array(re.findall(r'height="([\d.]+)" class="base"', picture), dtype=float)
    np.testing.assert_allclose(bars, [0.4, 46, 0.4, 0.4])


def test_the_page_shows_them_and_says_what_they_cannot_tell(model):
    story = story_of(aligned=found_in(model, by_column(model[0])))
    page = explanation_page(story)
    assert f"The best column (number {varied(model[0]) + 1}) tells" in page
    assert "A motif shows reliably over many ASVs only" in page
    assert "Aligned: a column" not in explanation_page(replace(story, aligned=None))
