import json
import time

import numpy as np
import pandas as pd
import pytest

from aam.data.metadata import read_metadata
from aam.data.phylogeny import Phylogeny
from aam.data.simulate import CLADES, simulate, write_simulation
from aam.data.table import read_table
from tests.support.reference import read_tree


@pytest.fixture(scope="module")
def community():
    return simulate(7)


def log_ratio(simulation, target):
    """Of the two clades that drive a target, from reads, [N]."""
    columns = {feature_id: column for column, feature_id in enumerate(simulation.table.feature_ids)}
    parts = (simulation.truth["clades"][simulation.truth[target][side]] for side in ("numerator", "denominator"))
    reads = [simulation.table.counts[:, [columns[name] for name in part]].sum(axis=1) for part in parts]
    return np.log((reads[0] + 1) / (reads[1] + 1))


def test_same_seed_same_community(community):
    again, other = simulate(7), simulate(8)
    assert community.sequences == again.sequences != other.sequences
    assert (community.table.counts != again.table.counts).nnz == 0
    assert str(community.tree) == str(again.tree)
    assert community.truth == again.truth
    pd.testing.assert_frame_equal(community.metadata, again.metadata)


def test_parts_fit_together(community):
    table, metadata = community.table, community.metadata
    assert table.counts.shape == (200, 300)
    assert table.counts.dtype == np.int64
    assert table.counts.has_sorted_indices
    assert (table.counts.data > 0).all()
    assert (table.depths > 0).all()
    assert community.sequences == table.feature_ids
    assert tuple(metadata.index) == table.sample_ids
    assert sorted(tip.name for tip in community.tree.tips()) == sorted(community.sequences)
    phylogeny = Phylogeny.from_tree(community.tree, table.feature_ids)
    # The order of the table must not be that of the tree, or mistakes would not show.
    assert np.abs(np.corrcoef(phylogeny.tip_columns, np.arange(300))[0, 1]) < 0.3
    assert metadata.groupby("subject")[["study", "age", "disease", "sex"]].nunique().eq(1).all(axis=None)
    assert metadata["subject"].nunique() == 50
    assert metadata["study"].nunique() == 4
    assert set(metadata["disease"]) == {"case", "control"}


def test_sequences_are_distinct_and_follow_the_tree(community):
    letters = np.array([list(sequence) for sequence in community.sequences])
    assert letters.shape == (300, 150)
    assert set(letters.ravel()) == set("ACGT")
    assert len(set(community.sequences)) == 300
    conserved = (letters == letters[0]).all(axis=0)
    assert 0.3 < conserved.mean() < 0.7
    differences = (letters[:, None] != letters).mean(axis=2)
    distances = community.tree.cophenet().filter(community.sequences).data
    assert np.corrcoef(differences.ravel(), distances.ravel())[0, 1] > 0.7


def test_clades_are_disjoint_subtrees(community):
    clades = community.truth["clades"]
    assert tuple(clades) == CLADES
    for name, members in clades.items():
        assert sorted(members) == sorted(tip.name for tip in community.tree.find(name).tips())
        assert len(members) >= 15
    assert len({member for members in clades.values() for member in members}) == sum(map(len, clades.values()))


def test_samples_look_like_samples(community):
    present = community.table.counts.toarray() > 0
    assert 0.02 < present.mean() < 0.35
    assert 3_000 < np.median(community.table.depths) < 8_000
    shared = (present[:, None] & present).sum(axis=2) / (present[:, None] | present).sum(axis=2)
    subject = community.metadata["subject"].to_numpy()
    same = (subject[:, None] == subject) & ~np.eye(len(subject), dtype=bool)
    assert shared[same].mean() > 2 * shared[subject[:, None] != subject].mean()


@pytest.mark.parametrize("seed", range(4))
def test_clades_drive_the_targets(seed):
    simulation = simulate(seed)
    age = simulation.metadata["age"].to_numpy()
    sick = (simulation.metadata["disease"] == "case").to_numpy()
    assert np.corrcoef(log_ratio(simulation, "age"), age)[0, 1] ** 2 > 0.7
    # Chance that a case has the higher log-ratio of a case and a control (AUC).
    cases, controls = log_ratio(simulation, "disease")[sick], log_ratio(simulation, "disease")[~sick]
    assert (cases[:, None] > controls).mean() > 0.9
    assert 0.2 < sick.mean() < 0.8
    male = (simulation.metadata["sex"] == "male").to_numpy()
    assert abs(np.corrcoef(log_ratio(simulation, "age"), male)[0, 1]) < 0.4


def test_truth_holds_the_rule_of_age(community):
    truth = community.truth["age"]
    subjects = community.metadata.drop_duplicates("subject").set_index("subject")["age"]
    ratio = pd.Series({name: values[0] for name, values in community.truth["subject_log_ratios"].items()})
    residual = subjects - (truth["mean"] + truth["slope"] * (ratio - ratio.mean()))
    assert residual.std() == pytest.approx(truth["noise_sd"], rel=0.3)


def test_written_files_read_back(community, tmp_path):
    write_simulation(community, tmp_path / "toy")
    assert sorted(path.name for path in (tmp_path / "toy").iterdir()) == ["metadata.tsv", "table.biom", "tree.nwk", "truth.json"]
    table = read_table(tmp_path / "toy" / "table.biom")
    assert (table.sample_ids, table.feature_ids) == (community.table.sample_ids, community.table.feature_ids)
    assert (table.counts != community.table.counts).nnz == 0
    assert str(read_tree(tmp_path / "toy" / "tree.nwk")) == str(community.tree)
    metadata = read_metadata(tmp_path / "toy" / "metadata.tsv").typed
    assert list(metadata.index) == list(community.metadata.index)
    np.testing.assert_allclose(metadata["age"].astype(float), community.metadata["age"])
    assert list(metadata["subject"]) == list(community.metadata["subject"])
    assert json.loads((tmp_path / "toy" / "truth.json").read_text()) == community.truth


@pytest.mark.parametrize(
    "sizes",
    [
        {"n_samples": 1, "n_studies": 1},
        {"n_asvs": 8, "length": 30},
        {"n_samples": 7, "n_subjects": 7, "n_studies": 7},
        {"n_asvs": 1500},
    ],
)
def test_sizes(sizes):
    started = time.perf_counter()
    simulation = simulate(0, **sizes)
    assert time.perf_counter() - started < 5
    assert simulation.table.counts.shape == (sizes.get("n_samples", 200), sizes.get("n_asvs", 300))
    assert len(set(simulation.sequences)) == simulation.table.counts.shape[1]
    assert simulation.metadata["age"].notna().all()


@pytest.mark.parametrize(
    "sizes", [{"n_asvs": 7}, {"length": 29}, {"n_samples": 3, "n_subjects": 4}, {"n_subjects": 3, "n_studies": 4}, {"n_studies": 0}]
)
def test_impossible_sizes(sizes):
    with pytest.raises(ValueError, match="need 8 ASVs"):
        simulate(0, **sizes)
