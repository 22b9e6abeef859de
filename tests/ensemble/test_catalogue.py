"""Known ASVs, and tables as members see them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from aam.data.sequences import tokenize
from aam.data.table import FeatureTable
from aam.ensemble.catalogue import Catalogue, letters_of
from aam.errors import InputError
from aam.options import EnsembleOptions
from aam.study.study import Study
from tests.support.studies import simulated_study, without_sequences

OPTIONS = EnsembleOptions()


@pytest.fixture(scope="module")
def study():
    return simulated_study()


def with_columns(study, order):
    """The same with its ASVs in another order, or some of them."""
    sequences = None if study.sequences is None else tuple(study.sequences[column] for column in order)
    ids = tuple(study.table.feature_ids[column] for column in order)
    table = FeatureTable(sparse.csr_array(study.counts[:, order]), study.table.sample_ids, ids)
    return Study(table, sequences, study.asv_tokens[order])


def test_a_table_in_another_order_with_new_asvs_is_seen_alike(study):
    catalogue = Catalogue.fit(study, study.rows, OPTIONS)
    order = np.random.default_rng(1).permutation(len(study.asv_tokens))
    first, second = catalogue.see(study), catalogue.see(with_columns(study, order))
    np.testing.assert_allclose(first.known_shares.toarray(), second.known_shares.toarray())
    np.testing.assert_allclose(first.mean_vectors, second.mean_vectors, atol=1e-5)
    sequences = (*study.sequences, "ACGTTGCAACGTTGCAACGTTGCAACGTTGCAACGTTGCA")
    counts = sparse.csr_array(sparse.hstack([study.counts, np.full((48, 1), 7)]))
    table = FeatureTable(counts, study.table.sample_ids, sequences)
    with_new = catalogue.see(Study(table, sequences, tokenize(sequences, sequences, 150)))
    assert with_new.identity[-1] == 0
    # Reads of unknown ASVs are reads: the others' shares are of all of them.
    assert (with_new.known_shares.sum(axis=1) < 1).all()


def test_longer_reads_of_known_asvs_are_known(study):
    catalogue = Catalogue.fit(study, study.rows, OPTIONS)
    names = tuple(letters_of(study.asv_tokens))
    longer = tokenize(tuple(name + "ACGTA" for name in names), names, study.asv_tokens.shape[1] - 1)
    seen = catalogue.see(replace(study, asv_tokens=longer))
    assert (seen.identity == catalogue.see(study).identity).all()
    assert seen.identity.max() > 10


@pytest.mark.parametrize("named", [False, True])
def test_an_asv_is_known_that_enough_training_samples_have(study, named):
    study = without_sequences(study) if named else study
    rows = np.arange(20)
    options = replace(OPTIONS, known_asv_samples=5)
    identity = Catalogue.fit(study, rows, options).see(study).identity
    samples = (study.counts[rows].toarray() > 0).sum(axis=0)
    assert 0 < (samples < 5).sum() < len(samples)
    assert ((identity > 0) == (samples >= 5)).all()


def test_features_without_sequences_are_known_by_their_ids(study):
    named = without_sequences(study)
    catalogue = Catalogue.fit(named, named.rows, OPTIONS)
    assert catalogue.by_id
    order = np.random.default_rng(1).permutation(len(named.asv_tokens))
    first, second = catalogue.see(named), catalogue.see(with_columns(named, order))
    assert first.known > 10
    np.testing.assert_allclose(first.known_shares.toarray(), second.known_shares.toarray())


def test_sequences_that_are_not_there_cannot_be_known(study):
    with pytest.raises(InputError, match="the model reads sequences, and these features have none"):
        Catalogue.fit(study, study.rows, OPTIONS).see(without_sequences(study))
