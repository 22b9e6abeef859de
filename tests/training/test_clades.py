"""An encoder of clades: ASVs are told where they are in the tree, samples by the clades that they have."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr

import aam
from aam.data.balanced import balanced
from aam.data.sequences import Nucleotide
from aam.data.simulate import simulate, write_simulation
from aam.distances.precomputed import PrecomputedDistances
from aam.distances.unifrac import UniFrac
from aam.errors import InputError
from aam.explain.gated import encoder_of
from aam.exporting.transformer import transformer_model
from aam.learners.pretraining import PretrainingLearner
from aam.learners.transformer import GivenEncoder, TransformerLearner
from aam.models import make_encoder
from aam.options import AugmentOptions, FitOptions, ModelOptions, PretrainObjectives, TrainComputeOptions, TrainFitOptions
from aam.study.problem import Problem
from aam.study.targets import RegressionTarget
from aam.training.clades import choose_clades, shortened
from tests.support.encoders import make_batch

MODEL = ModelOptions(embedding_dim=64, attention_layers=0, clades=100)
LEARNER = PretrainingLearner(
    model=MODEL,
    objectives=PretrainObjectives(nuc_penalty=0.0),
    options=FitOptions(batch_size=16, epochs=40, optimizer="adamw"),
    show=False,
)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("community")
    write_simulation(simulate(0, n_samples=150, n_asvs=120, length=80), folder)
    return aam.read_study(folder / "table.biom", metadata=folder / "metadata.tsv", tree=folder / "tree.nwk")


@pytest.fixture(scope="module")
def fitted(study):
    return LEARNER.fit(study, np.arange(110))


def random_encoder():
    torch.manual_seed(0)
    encoder = make_encoder(replace(MODEL, word_length=3), 30).double().eval()
    torch.nn.init.normal_(encoder.asv_encoder.words.table)
    return encoder


def test_a_sample_is_the_set_of_its_asvs_whatever_their_order_depth_and_padding():
    encoder = random_encoder()
    tokens, index, counts = make_batch(0, 8, 4, 6, mixed_lengths=True)
    expected = encoder(tokens, index, counts)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    for same in (
        encoder(tokens, index[:, order], counts[:, order]),
        encoder(tokens, index, 7 * counts),
        encoder(tokens, F.pad(index, (0, 5), value=3), F.pad(counts, (0, 5))),
        encoder(F.pad(tokens, (0, 7)), index, counts),
        torch.cat([encoder(tokens, index[[row]], counts[[row]]) for row in range(4)]),
    ):
        torch.testing.assert_close(same, expected, rtol=1e-9, atol=1e-9)
    counts[0, 0] = 0
    assert (encoder(tokens, index, counts)[0] - expected[0]).abs().max() > 1e-4


def test_a_sample_has_the_clades_of_any_of_its_asvs():
    encoder = random_encoder()
    tokens, index, counts = make_batch(0, 8, 4, 6, mixed_lengths=True)
    told = torch.sigmoid(encoder.logits(encoder.asv_encoder(tokens)))
    there = torch.stack([told[row[count > 0]].amax(dim=0) for row, count in zip(index, counts, strict=True)])
    richness = (counts > 0).sum(dim=1, keepdim=True).double().log() - 4.0
    hidden = encoder.presence(0.2 * (there - encoder.share) * encoder.weight) + encoder.richness(0.2 * richness)
    torch.testing.assert_close(encoder(tokens, index, counts), encoder.out(F.gelu(hidden)).double())


def test_clades_are_those_that_tell_most_samples_apart(study):
    tree, present = study.distance.phylogeny, study.counts.toarray() > 0
    chosen, share, length = choose_clades(study, tree, np.arange(110), 40)
    tips = np.empty(present.shape[1], dtype=int)
    tips[tree.tip_columns] = np.arange(present.shape[1])
    has = np.stack(
        [
            present[:110][:, (tips >= start) & (tips < end)].any(axis=1)
            for start, end in zip(tree.node_start, tree.node_end, strict=True)
        ]
    ).mean(axis=1)
    worth = tree.branch_length * has * (1 - has)
    np.testing.assert_allclose(share, has[chosen])
    np.testing.assert_array_equal(length, tree.branch_length[chosen])
    assert worth[chosen].min() >= np.delete(worth, chosen).max()


def test_new_samples_are_placed_and_asvs_know_their_clades(study, fitted, caplog):
    new = np.arange(110, 150)
    embedded = torch.from_numpy(fitted.embed(study, new)).double()
    pairs = np.triu_indices(len(new), 1)
    told, true = torch.cdist(embedded, embedded).numpy()[pairs], study.distances[np.ix_(new, new)][pairs]
    assert spearmanr(told, true)[0] > 0.85
    # In the unit of UniFrac.
    assert np.abs(told - true).mean() < 0.2
    with caplog.at_level(logging.INFO, "aam.training.clades"):
        LEARNER.fit(study, np.arange(110))
    (line,) = [record.getMessage() for record in caplog.records if "that taught them" in record.getMessage()]
    told_right, told_wrong = (float(part.split(" %")[0].split()[-1]) for part in line.split(": ")[1].split(" and "))
    assert told_right > 90
    assert told_wrong < 2


def test_it_is_saved_whole_and_the_same_twice(study, fitted, tmp_path):
    fitted.save(tmp_path / "encoder")
    again = aam.load(tmp_path / "encoder")
    np.testing.assert_array_equal(again.embed(study), fitted.embed(study))
    np.testing.assert_array_equal(LEARNER.fit(study, np.arange(110)).embed(study), fitted.embed(study))


def test_about_half_of_the_sequences_are_read_in_part():
    tokens, _, _ = make_batch(0, 400, 2, 6, mixed_lengths=False)
    short = shortened(tokens, torch.Generator().manual_seed(0))
    assert bool((short[:, 0] == tokens[:, 0]).all())
    kept = (short[:, 1:] != Nucleotide.PAD).numpy()
    share = kept.mean(axis=1)
    assert 0.4 < (share == 1).mean() < 0.7
    assert share.min() >= 0.6
    for row in np.flatnonzero(share < 1):
        places = np.flatnonzero(kept[row])
        assert places[-1] - places[0] + 1 == len(places)
        np.testing.assert_array_equal(short[row, 1:][places], tokens[row, 1:][places])


def test_batches_have_as_many_samples_of_each_group_and_large_groups_more_often():
    groups = np.repeat(["a", "b", "c", "d"], [400, 100, 100, 16])
    rows = np.flatnonzero(groups != "x")
    order = balanced(groups, 16, 2, rows, np.random.default_rng(0))
    assert len(order) == len(rows)
    halves = groups[order[: 38 * 16]].reshape(-1, 8)
    assert all(len(set(half)) == 1 for half in halves)
    assert all(first[0] != second[0] for first, second in halves.reshape(-1, 2, 8))
    # Samples of a group differ as far as it has as many.
    assert all(len(set(part)) == 8 for part in order[: 38 * 16].reshape(-1, 8))
    many = np.concatenate([balanced(groups, 8, 1, rows, np.random.default_rng(seed)) for seed in range(40)])
    share = np.array([(groups[many] == name).mean() for name in "abcd"])
    np.testing.assert_allclose(share, np.sqrt([400, 100, 100, 16]) / np.sqrt([400, 100, 100, 16]).sum(), atol=0.04)
    # A large group never has more than its part of a batch.
    assert all((groups[part] == "a").sum() <= 8 for part in order[: 38 * 16].reshape(-1, 16))


def test_groups_that_cannot_come_together_are_said_before_anything_is_taught(study):
    groups = np.repeat(["a", "b", "c"], 50)
    for change, said in (
        ({"groups_in_batch": 5}, "`groups_in_batch=5` does not divide `batch_size=16`"),
        ({"groups_in_batch": 4}, "`groups_in_batch=4`: the training samples have 2; give 2 or fewer"),
    ):
        with pytest.raises(InputError) as error:
            replace(LEARNER, **change).check(study, np.arange(150), groups)
        assert said in str(error.value)


def test_what_is_known_of_samples_by_their_ids_is_not_that_of_changed_ones(study, tmp_path):
    rows = [f"{name}\t{number}" for number, name in enumerate(study.table.sample_ids)]
    (tmp_path / "numbers.tsv").write_text("\n".join(["id\tnumber", *rows]) + "\n")
    of_vector = PretrainObjectives(encoder_type=("vector",), vector=tmp_path / "numbers.tsv", nuc_penalty=0.0)
    learner = PretrainingLearner(objectives=of_vector, augment=AugmentOptions(augment="cutmix"), show=False)
    with pytest.raises(InputError, match="`augment=cutmix` with `vector`"):
        learner.check(study, np.arange(110))
    given = replace(study, distance=PrecomputedDistances(study.distances))
    learner = PretrainingLearner(augment=AugmentOptions(augment="dropout"), show=False)
    with pytest.raises(InputError, match="`augment=dropout` with `unifrac_matrix`"):
        learner.check(given, np.arange(110))


def test_what_reads_attention_is_refused(fitted):
    with pytest.raises(InputError, match="an encoder of clades"):
        encoder_of(fitted.encoder)
    with pytest.raises(InputError, match="which has no graph yet"):
        transformer_model(fitted)


def test_a_target_is_learned_from_it(study, fitted):
    problem = Problem(study, "rows", np.arange(150.0), RegressionTarget("zscore"), np.arange(150) // 3)
    options = TrainFitOptions(epochs=2)
    for frozen in (False, True):
        learner = TransformerLearner(start=GivenEncoder(fitted), options=options, freeze_base=frozen, show=False)
        tuned = learner.fit(problem, np.arange(110))
        assert np.isfinite(tuned.predict(study, np.arange(110, 150))).all()
        # What ASVs were taught stays.
        torch.testing.assert_close(tuned.encoder.to_clades.weight, fitted.encoder.to_clades.weight)
        assert torch.equal(tuned.encoder.out.weight, fitted.encoder.out.weight) == frozen


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"objectives": PretrainObjectives()}, "`nuc_penalty=0.5`: must be 0 with `clades`"),
        ({"objectives": PretrainObjectives(nuc_penalty=0, count_penalty=1)}, "`count_penalty=1`: must be 0 with `clades`"),
        ({"model": replace(MODEL, clades=4000)}, "`clades=4000`: the tree has"),
        ({"augment": AugmentOptions(augment="auto")}, "`augment=auto` is chosen by a target"),
        ({"groups_in_batch": 4}, "`groups_in_batch=4` needs groups"),
        ({"compute": TrainComputeOptions(strategy="fsdp")}, "`strategy=fsdp`"),
        ({"compute": TrainComputeOptions(max_memory_gb=2)}, "`max_memory_gb` and `auto_batch_size` plan for layers"),
    ],
)
def test_what_it_cannot_learn_is_said(study, change, said):
    with pytest.raises(InputError, match=r"^[^\n]*$") as error:
        replace(LEARNER, **change).fit(study, np.arange(110))
    assert said in str(error.value)


def test_it_needs_a_tree_and_no_layers(study):
    weighted = replace(study, distance=UniFrac(study.distance.phylogeny, "weighted_normalized"))
    with pytest.raises(InputError, match="`clades=100` with weighted_normalized distances"):
        LEARNER.fit(weighted, np.arange(110))
    of_shannon = replace(LEARNER, objectives=PretrainObjectives(encoder_type=("shannon",), nuc_penalty=0.0))
    with pytest.raises(InputError, match="`clades=100` are those of a tree"):
        of_shannon.fit(replace(study, distance=None), np.arange(110))
    with pytest.raises(InputError, match="`attention_layers=2`: must be 0 with `clades`"):
        ModelOptions(clades=10)
    with pytest.raises(InputError, match="`attention_layers=0`: must be at least 1"):
        ModelOptions(attention_layers=0)
    with pytest.raises(InputError, match="`word_length=0`: must be above 0 with `clades`"):
        ModelOptions(clades=10, attention_layers=0, word_length=0)
