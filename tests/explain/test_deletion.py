"""Explanations by deletion are what a model says of tables that were written without the ASVs."""

import logging
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from aam.explain import features
from aam.explain.attributions import Features, Said
from aam.explain.deletion import by_deletion, holds, standard_error
from aam.learners.ensemble import EnsembleLearner
from tests.support.studies import QUICK, problem_in, simulated_study

ROWS = np.array([3, 17, 40, 41])


class Sums:
    """A model whose members add up numbers of the ASVs that are there, and shares of the reads."""

    output_names, unit = ("sum",), "units of sum"

    def __init__(self, counts, numbers):
        self.counts, self.numbers, self.asked = sparse.csr_array(counts), numbers, 0

    def read(self, counts, rows):
        assert counts.shape[0] == len(rows)
        assert (np.diff(counts.indptr) > 0).all()
        self.asked += len(rows)
        dense = counts.toarray()
        members = np.stack([(dense > 0) @ self.numbers, dense / dense.sum(axis=1, keepdims=True) @ self.numbers])[..., None]
        return Said(0.25 * members[0] + 0.75 * members[1], members, np.array([0.25, 0.75]))


def sums(seed=0, n=9, m=12):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(4, (n, m)) * (rng.random((n, m)) < 0.6)
    counts[:, 0] += 1
    return Sums(counts, rng.normal(size=m))


def some_features(seed, number, m):
    held = np.random.default_rng(seed).random((number, m)) < 0.3
    held[1] = held[0]
    return Features("clade", tuple(f"c{place}" for place in range(number)), sparse.csr_array(held))


@pytest.mark.parametrize("seed", range(4))
def test_deletion_is_the_change_without_the_asvs(seed):
    reader, wanted = sums(seed), some_features(seed, 7, 12)
    samples = np.array([8, 2, 5])
    found = by_deletion(reader, wanted, samples)
    at = {(samples[s], f): place for place, (s, f) in enumerate(zip(found.sample, found.feature, strict=True))}
    number = 0
    for row in samples:
        whole = reader.read(reader.counts[[row]], np.array([row]))
        for feature, held in enumerate(wanted.asvs.toarray()):
            counts = reader.counts[[row]].toarray()
            if not (counts[0] * held).any():
                continue
            counts[0][held] = 0
            if not counts.any():
                continue
            said = reader.read(sparse.csr_array(counts), np.array([row]))
            place, number = at[row, feature], number + 1
            np.testing.assert_allclose(found.value[place], (whole.outputs - said.outputs)[0], atol=1e-12)
            changes = (whole.members - said.members)[:, 0]
            error = np.sqrt(0.25 * 0.75 * (changes[0] - changes[1]) ** 2 * 0.625 / 0.375)
            np.testing.assert_allclose([found.low[place], found.high[place]], [found.value[place] + 2 * e for e in (-error, error)])
    assert number == len(found.value) == len(at)


def test_what_holds_the_same_asvs_of_a_sample_is_read_once():
    reader, wanted = sums(), some_features(0, 2, 12)
    found = by_deletion(reader, wanted, np.arange(9))
    assert reader.asked == 9 + len(found.value) / 2
    np.testing.assert_array_equal(found.value[found.feature == 0], found.value[found.feature == 1])


def test_nothing_is_said_where_nothing_would_be_left(caplog):
    reader = Sums(np.array([[0, 5, 0], [1, 5, 0]]), np.arange(3.0))
    with caplog.at_level(logging.INFO):
        found = by_deletion(reader, features.asvs("abc"), np.arange(2))
    assert list(zip(found.sample.tolist(), found.feature.tolist(), strict=True)) == [(1, 0), (1, 1)]
    assert "all ASVs of a sample belong to it: b in 1 sample" in caplog.text


def test_order_and_parts_change_nothing(monkeypatch):
    reader, wanted = sums(n=30), some_features(1, 9, 12)
    found = by_deletion(reader, wanted, np.arange(30))
    monkeypatch.setattr("aam.explain.made_up._ASVS_AT_ONCE", 11)
    again = by_deletion(reader, wanted, np.arange(30))
    np.testing.assert_allclose(again.value, found.value, atol=1e-12)
    turned = by_deletion(reader, wanted, np.arange(30)[::-1])
    order = np.lexsort((turned.feature, 29 - turned.sample))
    np.testing.assert_allclose(turned.value[order], found.value, atol=1e-12)


def test_holds():
    wanted = some_features(3, 6, 12)
    feature, column = (part.ravel() for part in np.mgrid[:6, :12])
    np.testing.assert_array_equal(holds(wanted, feature, column), wanted.asvs.toarray().ravel())
    assert not holds(replace(wanted, asvs=sparse.csr_array((6, 12), dtype=bool)), feature, column).any()


def test_standard_error_of_like_members_is_that_of_a_mean():
    said = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(standard_error(said, np.full(5, 0.2)), said.std(axis=0, ddof=1) / np.sqrt(5))
    assert np.isnan(standard_error(said[:1], np.ones(1))).all()


@pytest.mark.parametrize("classes", [False, True])
def test_an_ensemble_says_the_same_of_a_table_without_an_asv(classes):
    study = simulated_study()
    fitted = EnsembleLearner(QUICK, jobs=1).fit(problem_in(study, classes=classes), np.arange(40))
    found = by_deletion(fitted.reader(study), features.asvs(study.table.feature_ids), ROWS)
    assert len(found.value) == study.counts[ROWS].nnz
    place = int(np.argmax(np.abs(found.value[:, 0])))
    row, column = ROWS[found.sample[place]], found.feature[place]
    counts = study.counts.toarray()
    counts[row, column] = 0
    other = replace(study, table=replace(study.table, counts=sparse.csr_array(counts)))
    whole, without = (fitted.predict(seen, np.array([row])) for seen in (study, other))
    change = np.diff(np.log([without[0], whole[0]]), axis=0) if classes else whole - without
    expected = change[0, 1] - change[0, 0] if classes else change[0]
    assert abs(expected) > 1e-3
    np.testing.assert_allclose(found.value[place, 0], expected, rtol=1e-4, atol=1e-6)
