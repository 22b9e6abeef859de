"""Augmented training samples of a transformer: the same for the same seed, epoch and sample, whatever makes them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse

from aam.augment.dataset import AugmentedDataset
from aam.augment.sample import Clades
from aam.data.dataset import Collate, SampleDataset, make_loader
from aam.data.table import FeatureTable
from aam.options import AugmentOptions, ReadOptions
from tests.support.studies import simulated_study

STEPS = AugmentOptions(augment="phylomix,cutmix,mixup,contaminate,dropout,rarefy,errors,reverse,trim").steps
TRAIN = np.arange(20)
LEARNED = np.random.default_rng(0).normal(size=30).astype(np.float32)


@pytest.fixture(scope="module")
def study():
    return simulated_study(n_samples=30)


def dataset_of(study, rows=TRAIN, learned=LEARNED, steps=STEPS, **reads):
    base = SampleDataset(study.table, ReadOptions(**reads), 3)
    clades = Clades.of(study.distance.phylogeny, study.counts.shape[1])
    return AugmentedDataset(base, steps, rows, learned, study.asv_tokens, clades)


def same(first, second):
    arrays = all(np.array_equal(getattr(first, name), getattr(second, name)) for name in ("columns", "counts", "tokens"))
    return arrays and first.target == second.target


def test_a_sample_is_the_same_in_whatever_order_it_comes_and_another_in_each_epoch(study):
    dataset, other = dataset_of(study), dataset_of(study, TRAIN[::-1])
    forward = [dataset[1, row] for row in TRAIN]
    backward = [other[1, row] for row in TRAIN[::-1]][::-1]
    assert all(map(same, forward, backward))
    assert not any(same(draw, dataset[2, row]) for row, draw in zip(TRAIN, forward, strict=True))


def test_the_order_of_the_samples_in_the_table_changes_nothing(study):
    order = np.random.default_rng(0).permutation(30)
    turned = FeatureTable(study.counts[order], tuple(study.table.sample_ids[row] for row in order), study.table.feature_ids)
    place = np.argsort(order)
    here = dataset_of(study)
    there = dataset_of(replace(study, table=turned), place[TRAIN], LEARNED[order])
    assert all(same(here[4, row], there[4, place[row]]) for row in TRAIN)


def test_workers_make_the_same_batches(study):
    dataset, collate = dataset_of(study), Collate(study.asv_tokens, LEARNED, measures={"unifrac": study.distance})
    alone, helped = (list(make_loader(dataset, collate, TRAIN, 8, shuffle=True, workers=workers)) for workers in (0, 2))
    for one, other in zip(alone, helped, strict=True):
        for name in ("asv_tokens", "asv_index", "counts", "target"):
            torch.testing.assert_close(getattr(one, name), getattr(other, name), rtol=0, atol=0)
        torch.testing.assert_close(one.measured["unifrac"], other.measured["unifrac"], rtol=0, atol=0)


def test_samples_that_are_not_trained_on_are_never_looked_at(study):
    poison = study.counts.toarray()
    poison[20:] = 10**6
    poisoned = replace(study, table=replace(study.table, counts=sparse.csr_array(poison)))
    learned = np.where(np.arange(30) < 20, LEARNED, np.float32(np.nan))
    for epoch in range(3):
        assert all(same(dataset_of(study)[epoch, row], dataset_of(poisoned, learned=learned)[epoch, row]) for row in TRAIN)


def test_a_batch_holds_each_changed_sequence_once_with_its_place_in_the_tree(study):
    dataset = dataset_of(study, steps=(("errors", 0.05),))
    draws = [dataset[0, row] for row in TRAIN[:6]]
    batch = Collate(study.asv_tokens, LEARNED)([*draws, SampleDataset(study.table, ReadOptions(), 3)[0, 25]])
    for number, draw in enumerate(draws):
        there = batch.counts[number] > 0
        np.testing.assert_array_equal(batch.columns[number][there], draw.columns)
        tokens = batch.asv_tokens[batch.asv_index[number][there]].numpy()
        np.testing.assert_array_equal(tokens, draw.tokens[:, : tokens.shape[1]])
    whole = np.hstack([batch.asv_columns.numpy()[:, None], batch.asv_tokens.numpy()])
    assert len(np.unique(whole, axis=0)) == len(whole)
    assert batch.target[6] == LEARNED[25]


def test_no_more_asvs_than_the_model_may_see(study):
    dataset = dataset_of(study, token_limit=5)
    assert max(len(dataset[0, row].columns) for row in TRAIN) <= 5
    assert all(len(dataset[0, row].tokens) == len(dataset[0, row].columns) for row in TRAIN)
