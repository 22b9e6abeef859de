"""The members: by reference, by symmetry, and that what is saved is what was fitted."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

from aam.data.sequences import tokenize
from aam.data.simulate import simulate
from aam.ensemble import cross_fit as cross_fitting
from aam.ensemble import familiar as familiarity
from aam.ensemble import members, network
from aam.ensemble.asv_vectors import SequenceWords, count_words
from aam.ensemble.catalogue import Catalogue, letters_of
from aam.ensemble.ensemble import Samples, fit_members
from aam.ensemble.kernels import Scales, Shares, WideInputs, choose_shares, fit_wide, some_groups
from aam.ensemble.members import MEMBERS, NETWORKS, NetworkMember, WideMember
from aam.ensemble.novelty import Familiar, nearest
from aam.ensemble.trees import of_boosting, of_forest
from aam.ensemble.weights import Calibration, choose_weights, loss
from aam.errors import InputError
from aam.options import ModelOptions

ALL = (True, True, True)


@pytest.fixture(scope="module")
def community():
    simulated = simulate(0, n_samples=48, n_asvs=50, length=40)
    counts = sparse.csr_array(simulated.table.counts)
    sequences = tuple(simulated.table.feature_ids)
    return counts, tokenize(sequences, sequences, 150)


@pytest.fixture(scope="module")
def samples(community):
    counts, tokens = community
    rng = np.random.default_rng(0)
    present = (counts.toarray() > 0).astype(float)
    number = present[:, :6].sum(axis=1) + 0.1 * rng.normal(size=len(present))
    return Samples(counts, tokens, (number - number.mean()) / number.std(), None, np.arange(48) // 4)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(network, "_STEPS", 6)
    monkeypatch.setattr(network, "_LEAST_EPOCHS", 1)
    monkeypatch.setattr(members, "_TREES", 5)
    monkeypatch.setattr(members, "_BOOSTS", 5)


def as_classes(samples):
    labels = (samples.target > 0).astype(np.int64)
    return Samples(samples.counts, samples.tokens, labels, 2, samples.groups)


def test_words_are_counted_as_they_stand_and_other_letters_break_them():
    tokens = tokenize(("ACGTACGTA", "ACGNACGTAC", "ACG"), ("a", "b", "c"), 150)
    counts = count_words(tokens).power(2).toarray().round()
    assert counts.sum(axis=1).tolist() == [4, 1, 0]
    # ACGTAC, least significant letter first.
    place = sum(letter * 4**power for power, letter in enumerate([0, 1, 2, 3, 0, 1]))
    assert counts[0, place] == 1
    assert counts[1, place] == 1


def test_vectors_are_of_mean_0_and_variance_1_and_of_each_sequence_alone(community):
    _, tokens = community
    words = SequenceWords.fit(tokens)
    vectors = words.vectors(tokens)
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(vectors.std(axis=0), 1, atol=1e-3)
    np.testing.assert_allclose(words.vectors(tokens[5:7]), vectors[5:7], atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text("ACGTN", min_size=1, max_size=20), min_size=1, max_size=6, unique=True))
def test_any_sequences_have_finite_vectors(sequences):
    tokens = tokenize(tuple(sequences), tuple(sequences), 150)
    assert np.isfinite(SequenceWords.fit(tokens).vectors(tokens)).all()


def test_a_table_in_another_order_with_new_asvs_is_seen_alike(community):
    counts, tokens = community
    catalogue = Catalogue.fit(counts, tokens)
    order = np.random.default_rng(1).permutation(len(tokens))
    moved = (sparse.csr_array(counts[:, order]), tokens[order])
    first, second = catalogue.see(counts, tokens), catalogue.see(*moved)
    np.testing.assert_allclose(first.known_shares.toarray(), second.known_shares.toarray())
    np.testing.assert_allclose(first.mean_vectors, second.mean_vectors, atol=1e-5)
    strange = ("ACGTTGCAACGTTGCAACGTTGCAACGTTGCAACGTTGCA",)
    with_new = catalogue.see(
        sparse.csr_array(sparse.hstack([counts, np.full((48, 1), 7)])),
        np.concatenate([tokens, tokenize(strange, strange, 150)[:, : tokens.shape[1]]]),
    )
    assert with_new.identity[-1] == 0
    # Reads of unknown ASVs are reads: the others' shares are of all of them.
    assert (with_new.known_shares.sum(axis=1) < 1).all()


@pytest.mark.parametrize("classes", [None, 2, 3])
def test_trees_as_arrays_say_what_scikit_learn_says(classes):
    rng = np.random.default_rng(0)
    x, new = (rng.random((n, 7)).astype(np.float32) for n in (120, 50))
    number = x @ rng.normal(size=7)
    if classes is None:
        forest, boosting = (
            RandomForestRegressor(10, random_state=0),
            HistGradientBoostingRegressor(loss="absolute_error", max_iter=10),
        )
        truth = number
    else:
        forest, boosting = RandomForestClassifier(10, random_state=0), HistGradientBoostingClassifier(max_iter=10)
        truth = np.digitize(number, np.quantile(number, np.arange(1, classes) / classes))
    forest.fit(x, truth)
    boosting.fit(x, truth)
    by_forest, by_boosting = of_forest(forest).predict(new), of_boosting(boosting).predict(new)
    if classes is None:
        np.testing.assert_allclose(by_forest[:, 0], forest.predict(new))
        np.testing.assert_allclose(by_boosting[:, 0], boosting.predict(new))
    else:
        np.testing.assert_allclose(by_forest, forest.predict_proba(new))
        np.testing.assert_allclose(by_boosting.squeeze(), boosting.decision_function(new))


def wide_inputs(community):
    counts, tokens = community
    return WideInputs.of(Catalogue.fit(counts, tokens).see(counts, tokens))


def test_the_wide_path_is_the_kernel_regression_it_says(community):
    inputs = wide_inputs(community)
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=48)
    shares = Shares(0.1, -0.3, 0.2, 0.4, -0.2)
    train, new = np.arange(40), np.arange(40, 48)
    path = fit_wide(inputs.rows(train), labels[train], shares, 3, 0)
    scales = Scales.fit(inputs.rows(train))

    def kernel(a, b):
        presence, abundance, distance = scales.kernels(inputs.rows(a), inputs.rows(b))
        return np.exp(0.1) * presence + np.exp(-0.3) * abundance + np.exp(0.2) * np.exp(-distance / np.exp(0.4))

    wanted = 2.0 * np.eye(3)[labels[train]] - 1
    centred = wanted - wanted.mean(axis=0)
    expected = kernel(new, train) @ np.linalg.solve(kernel(train, train) + np.exp(-0.2) * np.eye(40), centred)
    np.testing.assert_allclose(path.predict(inputs.rows(new)), expected, atol=1e-8)
    assert len(fit_wide(inputs, labels, replace(shares, place=-np.inf), 3, 0).landmarks) == 0


def test_shares_are_chosen_by_groups_that_are_left_out(community):
    """A target that is the group itself is learned by heart from presence where groups are not left out."""
    inputs = wide_inputs(community)
    kernels = Scales.fit(inputs).kernels(inputs, inputs)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(48, 1))
    of_noise = choose_shares(kernels, ALL, noise / noise.std(), np.arange(48) // 4, classes=False)
    signal = np.asarray(inputs.presence[:, :5].sum(axis=1)).reshape(-1, 1).astype(float)
    signal = (signal - signal.mean()) / signal.std()
    of_signal = choose_shares(kernels, ALL, signal, np.arange(48) // 4, classes=False)
    assert of_signal.noise - of_signal.presence < of_noise.noise - max(of_noise.presence, of_noise.abundance)


def test_a_network_knows_the_set_and_unknown_asvs_by_their_sequence(samples):
    fitted = fit_members(samples, np.arange(48), ("network",), 0, 1)
    table = fitted.lesson.table
    member = fitted.fitted.members["network"][0]
    rows = np.arange(48)
    said = member.predict(table, rows)
    order = np.random.default_rng(1).permutation(48)
    np.testing.assert_allclose(member.predict(table, order), said[order], atol=1e-5)
    assert len(fitted.fitted.members["network"]) == cross_fitting.PARTS
    assert (member.weights["identity.weight"][0] == 0).all()


def test_a_new_network_ignores_identity_and_a_trained_one_does_not(samples):
    table = fit_members(samples, np.arange(48), ("network",), 0, 1).lesson.table
    torch.manual_seed(0)
    fresh = network.SampleNetwork(ModelOptions(embedding_dim=16), table.vectors.shape[1], table.known, 1).eval()
    inputs = (torch.from_numpy(table.vectors[:6]), torch.arange(6)[None], torch.ones(1, 6))
    known, unknown = torch.arange(1, 7), torch.zeros(6, dtype=torch.int64)
    torch.testing.assert_close(fresh(inputs[0], known, *inputs[1:]), fresh(inputs[0], unknown, *inputs[1:]))
    torch.nn.init.normal_(fresh.identity.weight)
    assert not torch.allclose(fresh(inputs[0], known, *inputs[1:]), fresh(inputs[0], unknown, *inputs[1:]))


@pytest.mark.parametrize("kind", ["number", "classes"])
def test_each_sample_is_judged_by_members_that_did_not_learn_from_its_group(samples, kind, monkeypatch):
    asked = samples if kind == "number" else as_classes(samples)
    seen = []
    before = cross_fitting._run

    def watch(fit, lesson, learned, judged):
        seen.append((set(lesson.groups[learned]), set(lesson.groups[judged])))
        return before(fit, lesson, learned, judged)

    monkeypatch.setattr(cross_fitting, "_run", watch)
    rows = np.arange(4, 44)
    fitted = fit_members(asked, rows, MEMBERS, 0, 1)
    assert len(seen) == len(MEMBERS) * cross_fitting.PARTS + len(MEMBERS) - 1
    assert all(not learned & judged and not (learned | judged) & {0, 11} for learned, judged in seen)
    for names in (NETWORKS, MEMBERS):
        ensemble, judged = fitted.combine(names)
        assert sum(ensemble.weights.values()) == pytest.approx(1)
        said = ensemble.predict(fitted.lesson.table, np.arange(48))
        assert len(said) == 48
        assert len(judged) == len(rows)
        if kind == "classes":
            np.testing.assert_allclose(said.sum(axis=1), 1)


def test_members_come_back_from_their_arrays(samples):
    fitted = fit_members(as_classes(samples), np.arange(48), MEMBERS, 0, 1)
    table, rows = fitted.lesson.table, np.arange(48)
    for name, kept in fitted.fitted.members.items():
        again = members.KINDS[name].of({part: np.array(value) for part, value in kept[0].arrays().items()})
        np.testing.assert_array_equal(again.predict(table, rows), kept[0].predict(table, rows))
    assert isinstance(fitted.fitted.members["network"][0], NetworkMember)
    assert isinstance(fitted.fitted.members["wide"][0], WideMember)


def test_members_that_beat_the_trivial_prediction_count_alike():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=200)
    good, fair, bad = (truth + size * rng.normal(size=200) for size in (0.1, 0.8, 3.0))
    assert choose_weights(truth, {"good": good, "fair": fair, "bad": bad}) == {"good": 0.5, "fair": 0.5, "bad": 0.0}
    assert choose_weights(truth, {"bad": bad}) == {"bad": 1.0}
    labels = np.array([0] * 90 + [1] * 10)
    shares = np.tile([0.9, 0.1], (100, 1))
    says = np.where(labels == 1, 0.4, 0.05)
    # The commonest class is no knowledge.
    assert choose_weights(labels, {"shares": shares, "knows": np.stack([1 - says, says], axis=1)}) == {"shares": 0.0, "knows": 1.0}


def test_probabilities_are_made_true_of_rare_classes_too():
    rng = np.random.default_rng(0)
    assert loss(np.array([0, 1]), np.array([[0.5, 0.5], [0.5, 0.5]])) == pytest.approx(np.log(2))
    evidence = rng.normal(size=6000) * 2
    honest = 1 / (1 + np.exp(-(evidence - 2.5)))
    labels = (rng.random(6000) < honest).astype(int)
    # Sure, and as if both classes were as common: what members with weighted classes say.
    boastful = 1 / (1 + np.exp(-2 * evidence))
    calibrated = Calibration.fit(labels, np.stack([1 - boastful, boastful], axis=1))
    said = calibrated.apply(np.stack([1 - boastful, boastful], axis=1))
    np.testing.assert_allclose(said[:, 1].mean(), labels.mean(), atol=0.01)
    np.testing.assert_allclose(said[:, 1], honest, atol=0.06)
    assert calibrated.power == pytest.approx(1 / 2, rel=0.15)


def test_strangers_are_told_from_samples_of_new_groups(community):
    counts, tokens = community
    learned = np.arange(32)
    catalogue = Catalogue.fit(counts[learned], tokens)
    table = catalogue.see(counts, tokens)
    familiar = Familiar.fit(table, learned, np.arange(32) // 2)
    assert (familiar.distances(table)[32:] > 1).mean() < 0.3
    np.testing.assert_allclose(familiar.distances(table)[:32], 0, atol=1e-5)
    other = simulate(99, n_samples=20, n_asvs=50, length=40)
    names = tuple(other.table.feature_ids)
    elsewhere = catalogue.see(sparse.csr_array(other.table.counts), tokenize(names, names, 150))
    assert (familiar.distances(elsewhere) > 1).all()


def test_few_new_asvs_among_many_known_ones_make_no_stranger(community):
    """Where all groups have all ASVs, as after a filter of prevalence, no distance was ever above 0."""
    counts, tokens = community
    everywhere = sparse.csr_array(np.ones(counts.shape, dtype=np.int64))
    catalogue = Catalogue.fit(everywhere, tokens)
    familiar = Familiar.fit(catalogue.see(everywhere, tokens), np.arange(48), np.arange(48) // 4)
    variant = tokens[:1].copy()
    variant[0, 20] = 1 + variant[0, 20] % 4
    seen = catalogue.see(sparse.csr_array(np.ones((1, 51), dtype=np.int64)), np.concatenate([tokens, variant]))
    assert 0 < familiar.distances(seen)[0] < 0.5


def test_strangers_are_told_though_only_the_commonest_asvs_are_kept(community, monkeypatch):
    monkeypatch.setattr(familiarity, "_MOST", 10)
    counts, tokens = community
    learned = np.arange(32)
    table = Catalogue.fit(counts[learned], tokens).see(counts, tokens)
    familiar = Familiar.fit(table, learned, np.arange(32) // 2)
    assert len(familiar.vectors) == 10
    assert (familiar.distances(table) > 1).mean() < 0.2


def test_the_nearest_of_another_owner():
    known = np.array([[0.0], [1.0], [5.0]], dtype=np.float32)
    owner = np.array([0, 1, 1])
    np.testing.assert_allclose(nearest(known, known), 0)
    np.testing.assert_allclose(nearest(known, known, owner, owner), [1, 1, 5])
    np.testing.assert_allclose(nearest(known, known, owner - 1, owner - 1), [0, 1, 5])
    np.testing.assert_allclose(nearest(known[:1], known[:1], owner[:1], owner[:1]), 0)


def test_longer_reads_of_known_asvs_are_known(community):
    counts, tokens = community
    names = tuple(letters_of(tokens))
    longer = tokenize(tuple(name + "ACGTA" for name in names), names, tokens.shape[1] - 1)
    seen = Catalogue.fit(counts, tokens).see(counts, longer)
    assert (seen.identity == Catalogue.fit(counts, tokens).see(counts, tokens).identity).all()
    assert seen.identity.max() > 10


def test_a_part_may_lack_a_class_and_a_table_known_asvs(samples):
    labels = np.zeros(48, dtype=np.int64)
    labels[:24], labels[44:] = 1, 2
    rare = replace(samples, target=labels, classes=3)
    ensemble, judged = fit_members(rare, np.arange(48), MEMBERS, 0, 1).combine(MEMBERS)
    np.testing.assert_allclose(judged.sum(axis=1), 1)
    fitted = fit_members(rare, np.arange(48), ("forest", "boosting"), 0, 1)
    assert (fitted.fitted.judged["forest"][44:, 2] == 0).all()
    assert np.isfinite(ensemble.predict(fitted.lesson.table, np.arange(48))).all()

    alone = replace(samples, counts=sparse.csr_array(np.eye(48, 50, dtype=np.int64)))
    ensemble, _ = fit_members(alone, np.arange(48), MEMBERS, 0, 1).combine(MEMBERS)
    assert ensemble.members.keys() == {"network", "sequence"}


def test_too_few_groups_or_classes_are_refused(samples):
    with pytest.raises(InputError, match="one group is learned from only"):
        fit_members(replace(samples, groups=np.zeros(48)), np.arange(48), NETWORKS, 0, 1)
    labels = (np.arange(48) < 4).astype(np.int64)
    with pytest.raises(InputError, match="has one class only"):
        fit_members(replace(samples, target=labels, classes=2), np.arange(48), NETWORKS, 0, 1)


def test_some_groups_are_whole_unless_they_are_huge():
    groups = np.repeat(np.arange(40), 10)
    chosen = some_groups(groups, 100, 0)
    assert 90 <= len(chosen) <= 110
    assert set(np.bincount(groups[chosen])) <= {0, 10}
    assert len(some_groups(np.repeat(np.arange(4), 5000), 600, 0)) == 600


def test_the_same_in_one_process_and_in_two(samples, monkeypatch):
    """Numbers of steps are those of the package: the other processes know no others."""
    monkeypatch.undo()
    rows = np.arange(48)
    said = []
    for jobs in (1, 2):
        fitted = fit_members(samples, rows, ("sequence", "forest"), 0, jobs)
        ensemble, judged = fitted.combine(("sequence", "forest"))
        said.append(np.concatenate([judged, ensemble.predict(fitted.lesson.table, rows)]))
    np.testing.assert_allclose(*said, rtol=1e-9)
