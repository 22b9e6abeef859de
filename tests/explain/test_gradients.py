"""Attributions by gradients: they add up, they are exact where the model is linear, and order does not matter."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse

from aam.ensemble.catalogue import SeenTable
from aam.errors import InputError
from aam.explain import gradients
from aam.explain.integration import MOST_STEPS, integrate
from aam.explain.links import sums
from aam.explain.nucleotides import TransformerSequences
from aam.explain.terms import SeenPlaces, kernel_terms, linear_terms
from tests.support.explained import ensemble_of, transformer_of

pytest.importorskip("captum", reason="the extra explain is not installed")
ROWS = np.array([3, 10, 0, 40])


def of(classes=0, baseline="empty", table=None, rows=ROWS):
    study, ensemble, seen, outputs = ensemble_of(classes)
    return gradients.of_ensemble(ensemble, table or seen, rows, outputs, study.table.feature_ids, baseline)


def total(found):
    attributions = found.attributions
    return sums(attributions.value, attributions.sample, len(attributions.samples))


@pytest.mark.parametrize("baseline", ["empty", "average"])
@pytest.mark.parametrize("classes", [2, 3])
def test_of_classes_the_whole_ensemble_is_explained_and_adds_up(classes, baseline):
    _, ensemble, seen, _ = ensemble_of(classes)
    found = of(classes, baseline)
    p = ensemble.predict(seen, ROWS)
    np.testing.assert_allclose(found.attributions.predicted, np.log(p / (1 - p))[:, -(1 if classes == 2 else 3) :], atol=1e-5)
    np.testing.assert_allclose(total(found), found.attributions.predicted - found.start, atol=1e-6)
    assert found.weight == pytest.approx(1.0)
    assert found.complete.all()
    assert (found.attributions.low <= found.attributions.high).all()


def test_of_a_number_medians_of_trees_are_left_out_and_the_rest_adds_up():
    _, ensemble, seen, _ = ensemble_of()
    found = of()
    assert set(found.explained) == set(ensemble.weights) - {"forest", "extra"}
    assert found.weight == pytest.approx(1 - 2 / len(ensemble.weights))
    weights = {name: weight / found.weight for name, weight in found.explained.items()}
    part = replace(ensemble, combination=replace(ensemble.combination, weights=weights))
    np.testing.assert_allclose(found.attributions.predicted[:, 0], part.predict(seen, ROWS), atol=1e-5)
    np.testing.assert_allclose(total(found), found.attributions.predicted - found.start, atol=1e-6)


def test_it_is_said_that_gradients_are_of_the_mean_where_the_middle_counts():
    study, ensemble, seen, outputs = ensemble_of()
    middle = replace(ensemble, combination=replace(ensemble.combination, middle=1 / 3))
    found = gradients.of_ensemble(middle, seen, ROWS, outputs, study.table.feature_ids)
    assert found.middle == 1 / 3
    np.testing.assert_array_equal(found.attributions.value, of().attributions.value)


def test_only_trees_of_medians_have_no_gradients():
    study, ensemble, seen, outputs = ensemble_of()
    alone = replace(ensemble, combination=replace(ensemble.combination, weights={"forest": 1.0}))
    with pytest.raises(InputError, match="deletion"):
        gradients.of_ensemble(alone, seen, ROWS, outputs, study.table.feature_ids)


def test_the_average_baseline_is_the_same_for_all_samples_and_the_empty_one_too():
    for baseline in ("empty", "average"):
        start = of(baseline=baseline).start
        np.testing.assert_allclose(start, np.tile(start[:1], (len(ROWS), 1)), atol=1e-6)


def test_the_order_of_asvs_and_samples_does_not_matter():
    _, _, seen, _ = ensemble_of(2)
    columns = np.random.default_rng(0).permutation(seen.counts.shape[1])
    counts = sparse.csr_array(seen.counts[:, columns])
    moved = SeenTable(counts, seen.tokens[columns], seen.vectors[columns], seen.identity[columns], seen.known)
    first, second = of(2).attributions, of(2, table=moved, rows=ROWS[::-1]).attributions
    dense = [sparse.csr_array((a.value[:, 0], (a.sample, a.feature)), (4, len(columns))).toarray() for a in (first, second)]
    np.testing.assert_allclose(dense[0][:, columns][::-1], dense[1], atol=1e-5)


@pytest.mark.parametrize("name", ["presence", "ratio"])
def test_terms_of_linear_members_are_exact(name):
    _, ensemble, seen, outputs = ensemble_of()
    member, places = ensemble.members[name][0], SeenPlaces.in_table(seen, ROWS)
    # Fitted weights of log-ratios add up to 0; those of any model need not.
    member = replace(member, model=replace(member.model, weights=member.model.weights + 0.3))
    for baseline in ("empty", "average"):
        found = linear_terms(member, places, outputs.target, baseline)
        np.testing.assert_allclose(found.end[:, 0], member.predict(seen, ROWS), atol=1e-5)
        np.testing.assert_allclose(found.start + sums(found.terms, places.sample, len(ROWS)), found.end, atol=1e-9)
    if name == "presence":
        terms = linear_terms(member, places, outputs.target, "empty").terms[:, 0]
        for place in range(0, len(terms), 7):
            counts = seen.counts.toarray()
            counts[ROWS[places.sample[place]], places.column[place]] = 0
            without = replace(seen, counts=sparse.csr_array(counts))
            row = ROWS[[places.sample[place]]]
            assert terms[place] == pytest.approx(float((member.predict(seen, row) - member.predict(without, row))[0]), abs=1e-5)


def test_two_ids_of_one_sequence_share_by_their_reads():
    _, ensemble, seen, outputs = ensemble_of()
    column = int(np.flatnonzero(seen.identity)[0])
    counts = seen.counts.toarray()
    counts[:, column] = 8
    twice = np.column_stack([counts, np.full(len(counts), 24)])
    more = SeenTable(
        sparse.csr_array(twice),
        np.vstack([seen.tokens, seen.tokens[[column]]]),
        np.vstack([seen.vectors, seen.vectors[[column]]]),
        np.append(seen.identity, seen.identity[column]),
        seen.known,
    )
    counts[:, column] = 32
    one = replace(seen, counts=sparse.csr_array(counts))
    member = ensemble.members["presence"][0]
    both, alone = (SeenPlaces.in_table(table, ROWS) for table in (more, one))
    shared = linear_terms(member, both, outputs.target, "empty").terms[:, 0]
    whole = linear_terms(member, alone, outputs.target, "empty").terms[alone.column == column, 0]
    np.testing.assert_allclose(shared[both.column == column], whole / 4, atol=1e-9)
    np.testing.assert_allclose(shared[both.column == seen.counts.shape[1]], whole * 3 / 4, atol=1e-9)


def test_of_kernels_the_linear_part_is_exact_and_the_smooth_part_adds_up():
    _, ensemble, seen, outputs = ensemble_of()
    member, places = ensemble.members["wide"][0], SeenPlaces.in_table(seen, ROWS)
    found = kernel_terms(member.model, places, outputs.target, "empty")
    np.testing.assert_allclose(found.end[:, 0], member.predict(seen, ROWS))
    flat = replace(member.model, by_place=np.zeros_like(member.model.by_place))
    linear = kernel_terms(flat, places, outputs.target, "empty")
    np.testing.assert_allclose(linear.start + sums(linear.terms, places.sample, len(ROWS)), linear.end, atol=1e-9)
    for column in np.unique(places.column):
        of_column = linear.terms[places.column == column, 0]
        assert (of_column != 0).any() <= (seen.identity[column] > 0)
    assert found.complete.all()


@pytest.mark.parametrize("outputs", [1, 2, 3])
@pytest.mark.parametrize("baseline", ["empty", "average"])
def test_of_a_transformer_values_add_up(outputs, baseline):
    model, about = transformer_of(outputs)
    rng = np.random.default_rng(0)
    counts = sparse.csr_array(rng.integers(0, 3, (5, 20)) * rng.integers(1, 9, (5, 20)))
    vectors = rng.normal(size=(20, 16)).astype(np.float32)
    rows = np.array([4, 1])
    sequences = TransformerSequences(model, vectors, counts, about)
    found = gradients.of_transformer(sequences, rows, tuple(map(str, range(20))), baseline)
    assert found.complete.all()
    difference = found.attributions.predicted - found.start
    np.testing.assert_allclose(total(found), difference, atol=0.011 * np.abs(difference).max())
    with torch.no_grad():
        dense = torch.from_numpy(counts.toarray()[rows].astype(np.float32))
        said = model.head(model.base_model.encode_samples(torch.from_numpy(vectors), torch.arange(20).expand(2, -1), dense), None)
    wanted = about.target.decode(said).numpy() if outputs == 1 else np.log(said.softmax(1) / (1 - said.softmax(1))).numpy()
    np.testing.assert_allclose(found.attributions.predicted, wanted[:, -found.start.shape[1] :], rtol=1e-3, atol=1e-3)


def test_integrated_gradients_of_a_product_are_known():
    found = integrate(lambda x: (x[:, :1] * x[:, 1:]).double(), torch.tensor([1.0, 0.0]), torch.tensor([3.0, 4.0]), 1)
    np.testing.assert_allclose(found.values[:, 0], [4.0, 8.0], rtol=1e-5)
    assert found.complete
    assert found.steps == 32


def test_a_jump_is_flagged():
    found = integrate(lambda x: torch.sigmoid(1e7 * (x - 0.5003)), torch.zeros(1), torch.ones(1), 1)
    assert not found.complete
    assert found.steps == MOST_STEPS


def test_without_captum_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(InputError, match=r"attention-all-microbes\[explain\]"):
        integrate(lambda x: x, torch.zeros(1), torch.ones(1), 1)
