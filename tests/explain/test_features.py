"""Clades of a tree and taxa of a taxonomy, by reference; taxonomies as they come."""

import io
import zipfile

import numpy as np
import pytest

from aam.data.newick import parse_newick
from aam.data.phylogeny import Phylogeny
from aam.data.simulate import simulate
from aam.data.taxonomy import ranks_of, read_taxonomy
from aam.disk.cache import Cache
from aam.errors import InputError
from aam.explain import features
from aam.study.tree import read_phylogeny

IDS = ("a", "b", "c", "d", "e", "f", "g", "h")
TREE = "(((((a:1,(b:1,z:1)0.5:1)1:1)'0.98:g__X':1,c:1)0.7:1,(d:1,x:1)y:1)g__Y:1,((e:1,f:1)twice:1,(g:1,h:1)twice:1):1);"


def members(found):
    return {name: set(np.array(IDS)[row]) for name, row in zip(found.ids, found.asvs.toarray(), strict=True)}


def test_asvs_are_each_by_itself():
    found = features.asvs(IDS)
    assert found.ids == IDS
    np.testing.assert_array_equal(found.asvs.toarray(), np.eye(8, dtype=bool))


def test_clades_are_inner_nodes_of_two_asvs_and_at_most_half():
    found = members(features.clades(Phylogeny.from_nodes(parse_newick(TREE), IDS), IDS))
    named = {"g__X": {"a", "b"}, "g__Y": set("abcd")}
    assert {name: held for name, held in found.items() if not name.startswith("clade_")} == named
    assert sorted(map(sorted, found.values())) == sorted(map(list, ["ab", "abc", "abcd", "ef", "gh", "efgh"]))


def test_clades_without_a_name_are_called_by_their_asvs():
    other = "(((g:1,h:1):1,(f:1,e:2):1):1,(((x:1,d:1):1,(c:1,(b:1,a:1)0.1:1):1):2,q:1):1);"
    first, second = (members(features.clades(Phylogeny.from_nodes(parse_newick(tree), IDS), IDS)) for tree in (TREE, other))
    for name, held in first.items():
        if name.startswith("clade_"):
            assert second[name] == held


def test_clades_of_a_simulated_tree_are_those_of_its_nodes():
    simulated = simulate(0, n_samples=10, n_asvs=40, length=40)
    ids = simulated.table.feature_ids
    found = features.clades(Phylogeny.from_tree(simulated.tree, ids), ids)
    held = {frozenset(np.array(ids)[row]) for row in found.asvs.toarray()}
    wanted = {frozenset(tip.name for tip in node.tips()) for node in simulated.tree.non_tips()}
    assert held == {tips for tips in wanted if 2 <= len(tips) <= 20}
    for name, tips in simulated.truth["clades"].items():
        assert set(np.array(ids)[found.asvs[[found.ids.index(name)]].toarray()[0]]) == set(tips)


def test_labels_are_kept_with_a_tree_that_was_read(tmp_path):
    path = tmp_path / "tree.nwk"
    path.write_text(TREE)
    for cache in (Cache(None), Cache(tmp_path / "cache"), Cache(tmp_path / "cache")):
        read = read_phylogeny(path, IDS, cache)
        assert read.labels == Phylogeny.from_nodes(parse_newick(TREE), IDS).labels
        assert {"g__X", "y", "g__Y", "twice", ""} == set(read.labels)


RANKS = [("B", "F", "L"), ("B", "F", "L"), ("B", "F", "M"), ("B", "P"), ("B", "P"), ("A",), ("A",), ("U", "V", "W")]


def test_taxa_of_every_rank_once():
    found = members(features.taxa(RANKS))
    assert found == {
        "B": set("abcde"),
        "B; F": set("abc"),
        "B; F; L": set("ab"),
        "B; F; M": {"c"},
        "B; P": set("de"),
        "A": set("fg"),
        "U; V; W": {"h"},
    }


def test_a_taxon_of_all_asvs_is_none():
    assert features.taxa([("B", "F"), ("B", "G")]).ids == ("B; F", "B; G")
    assert features.taxa([("B",), ("B",)]).ids == ()


TEXT = (
    "Feature ID\tTaxon\tConfidence\n#q2:types\tcategorical\tnumeric\na\td__B; p__F; c__\t0.9\nb\tUnassigned\t0.3\nc\td__B;p__G\t1\n"
)
FOUND = (("d__B", "p__G"), ("d__B", "p__F"), ("Unassigned",))


def artifact(text, kind="FeatureData[Taxonomy]"):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("u/metadata.yaml", f"uuid: u\ntype: {kind}\nformat: TSVTaxonomyDirectoryFormat\n")
        archive.writestr("u/data/taxonomy.tsv", text)
    return content.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        artifact(TEXT),
        TEXT.replace("Feature ID", "#OTU ID").replace("Taxon", "taxonomy").encode(),
        TEXT.replace("\n", "\r\n").encode("utf-16"),
    ],
)
def test_taxonomies_as_they_come(tmp_path, content):
    path = tmp_path / "taxonomy"
    path.write_bytes(content)
    assert read_taxonomy(path, ("c", "a", "b")) == FOUND


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TEXT.encode(), "3 of 4 ASVs are not in it: x, y, z; give the taxonomy of this table's ASVs"),
        (TEXT.replace("b\t", "a\t").encode(), "feature a is there twice"),
        (b"Feature ID\tTaxon\na\n", "feature a has no taxon"),
        (b"", "an empty file: its header must begin with 'Feature ID'"),
        (b"a\td__B\nb\td__C\n", "no taxonomy: its header must begin with 'Feature ID'"),
        (b"\xff\xfe\x00\xd8", "no taxonomy: its header must"),
        (artifact(TEXT, "FeatureData[Sequence]"), r"of type FeatureData\[Sequence\], where FeatureData\[Taxonomy\] is needed"),
    ],
)
def test_what_is_no_taxonomy_of_the_table_is_one_line(tmp_path, content, message):
    path = tmp_path / "taxonomy"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read_taxonomy(path, ("a", "x", "y", "z"))
    assert "\n" not in str(error.value)


def test_ranks_without_a_name_at_the_end_are_none():
    assert ranks_of("k__B; p__; c__X; o__; s__") == ("k__B", "p__", "c__X")
    assert ranks_of("D_0__B;D_1__") == ("D_0__B", "D_1__")
    assert ranks_of(" ; ") == ranks_of("") == ("Unassigned",)
