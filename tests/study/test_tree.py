"""The distances of a study: of odd trees and matrices, with samples that have none, and where they tell nothing."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aam.disk.cache import Cache
from aam.errors import InputError
from aam.options import TreeOptions
from aam.study.reading import read_study
from aam.study.tree import on_given_distances, with_distances
from tests.odd_files import ASVS, SAMPLES, community, put, tree_text
from tests.odd_files.trees import TREES, unifrac

READ = [odd for odd in TREES if odd.outcome == "read"]
REFUSED = [odd for odd in TREES if odd.outcome != "read"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    paths = community(tmp_path_factory.mktemp("sound"))
    return read_study(paths["table"], rep_seqs=paths["rep_seqs"], metadata=paths["metadata"])


def given(study, paths, ignore_missing=False, cache=None):
    return on_given_distances(study, TreeOptions(**paths), cache or Cache(None), ignore_missing=ignore_missing)


@pytest.mark.parametrize("odd", READ, ids=lambda odd: odd.name)
def test_odd_trees_and_matrices_are_the_sound_ones(tmp_path, study, odd):
    np.testing.assert_allclose(given(study, odd.write(tmp_path)).distances, unifrac(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("odd", REFUSED, ids=lambda odd: odd.name)
def test_what_is_no_distance_is_said_in_one_line(tmp_path, study, odd):
    with pytest.raises(InputError, match=odd.outcome) as caught:
        given(study, odd.write(tmp_path))
    assert "\n" not in str(caught.value)


def test_samples_off_the_tree_are_left_out_if_asked(tmp_path, study, caplog):
    """S03 has reads of one ASV alone, which the tree lacks."""
    counts = study.table.counts.toarray()
    counts[2] = 0
    counts[2, 0] = 9
    alone = replace(study, table=replace(study.table, counts=type(study.table.counts)(counts)))
    lacking = {"tree": put(tmp_path, "tree.nwk", re.sub("ASV_01:", "another:", tree_text()))}
    with pytest.raises(InputError):
        given(alone, lacking)
    caplog.clear()
    for cache in (Cache(None), Cache(tmp_path / "cache"), Cache(tmp_path / "cache")):
        caplog.clear()
        left = given(alone, lacking, ignore_missing=True, cache=cache)
        assert "1 of 30 samples has no ASV in the tree: S03; left out" in caplog.text
        assert re.search(r"1 of 20 ASVs, which holds [\d.]+ % of the reads, is not in the tree: ASV_01; they count", caplog.text)
        assert left.table.sample_ids == tuple(name for name in SAMPLES if name != "S03")
        assert list(left.metadata.index) == list(left.table.sample_ids)
        assert left.distances.shape == (29, 29)


def test_samples_that_a_matrix_lacks_are_left_out_if_asked(tmp_path, study, caplog):
    header, *rows = [line.split("\t") for line in Path(_matrix(tmp_path)).read_text().splitlines()]
    kept = [header[:-2], *(row[:-2] for row in rows[:-2])]
    path = put(tmp_path, "fewer.tsv", "".join("\t".join(row) + "\n" for row in kept))
    with pytest.raises(InputError, match=r"2 of 30 samples have no distances in .*: S29, S30; .*`ignore_missing`"):
        given(study, {"unifrac_matrix": path})
    left = given(study, {"unifrac_matrix": path}, ignore_missing=True)
    assert f"2 of 30 samples have no distances in {path}: S29, S30; left out" in caplog.text
    np.testing.assert_array_equal(left.distances, unifrac()[:28, :28])
    assert len(left) == len(left.metadata) == 28


def _matrix(folder):
    odd = next(odd for odd in TREES if odd.name == "matrix with comments")
    path = odd.write(folder)["unifrac_matrix"]
    return put(folder, "plain.tsv", "\n".join(path.read_text().splitlines()[2:]))


def test_samples_that_all_hold_the_same(tmp_path, study):
    paths = community(tmp_path)
    counts = study.table.counts.toarray()
    counts[:] = counts[0]
    same = replace(study, table=replace(study.table, counts=type(study.table.counts)(counts)))
    with pytest.raises(InputError, match=r"^all distances between the samples are 0: nothing can be learned from them"):
        given(same, {"tree": paths["tree"]})


def test_one_asv_on_the_tree(tmp_path, study):
    counts = study.table.counts.toarray()
    counts[:, 1:] = 0
    counts[:, 0] += 1
    one = replace(study, table=replace(study.table, counts=type(study.table.counts)(counts)))
    with pytest.raises(InputError, match=r"^all distances between the samples are 0"):
        given(one, {"tree": community(tmp_path)["tree"]})


def test_a_tree_is_built_where_none_is_given(tmp_path, study):
    pytest.importorskip("pyfamsa")
    pytest.importorskip("veryfasttree")
    nothing = TreeOptions()
    assert on_given_distances(study, nothing, Cache(None), ignore_missing=False) is study
    built = with_distances(study, nothing, Cache(None), tmp_path / "tree.nwk")
    assert np.corrcoef(built.distances.ravel(), unifrac().ravel())[0, 1] > 0.7
    assert with_distances(built, nothing, Cache(None)) is built
    assert sorted(re.findall(r"ASV_\d+", (tmp_path / "tree.nwk").read_text())) == sorted(ASVS)
    again = with_distances(study, nothing, Cache(None))
    np.testing.assert_allclose(again.distances, built.distances, rtol=0, atol=1e-12)
