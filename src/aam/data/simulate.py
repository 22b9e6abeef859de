"""A community of which everything is known: tree, sequences, samples, and which clades drive the targets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from aam.data.newick import write_tree
from aam.data.table import FeatureTable

if TYPE_CHECKING:
    import pandas as pd
    from skbio import TreeNode

# Expected substitutions per variable site from the root to a tip, and transitions per transversion rate (kappa of K80).
TREE_DEPTH = 0.4
KAPPA = 2.0
# Neighbouring sites are conserved or variable together, as in the 16S gene.
REGION = 10
CONSERVED_SHARE = 0.4
# Letters in an order in which ^ 1 is the transition (A-G, C-T) and ^ 2, ^ 3 are the transversions.
LETTERS = np.frombuffer(b"AGCT", dtype=np.uint8)
CLADES = ("clade_A", "clade_B", "clade_C", "clade_D")
# Log-abundance standard deviations: of an ASV; of a clade between subjects, studies and samples; of an ASV between samples.
ASV_SD, SUBJECT_SD, STUDY_SD, SAMPLE_SD, RESIDUAL_SD = 1.0, 1.2, 0.4, 0.3, 0.4
AGE_MEAN, AGE_SD, AGE_NOISE_SD = 45.0, 15.0, 4.0
DISEASE_SLOPE, DISEASE_NOISE_SD = 1.0, 0.3
MEDIAN_READS, READS_SD = 5000, 0.4
# A clade that a subject lacks has this share in its log-ratio.
SHARE_FLOOR = 1e-3


@dataclass(frozen=True, eq=False)
class Simulation:
    """Table [N, M] whose feature ids are `sequences`, the true tree of them, metadata (index ``sample-id``) and the truth.

    truth: ``clades`` (name: feature ids; also node labels of the tree), ``age`` and ``disease`` (the two clades whose log-ratio in
    the subject's mean community drives it, slope, mean and noise), ``effects`` (log-abundance standard deviations),
    ``study_effects`` and ``subject_log_ratios``.
    """

    table: FeatureTable
    sequences: tuple[str, ...]
    tree: TreeNode
    metadata: pd.DataFrame
    truth: dict[str, Any]


def simulate(
    seed: int,
    n_samples: int = 200,
    n_asvs: int = 300,
    n_subjects: int | None = None,
    n_studies: int | None = None,
    length: int = 150,
) -> Simulation:
    """Simulate a community; the same arguments give the same one.

    A tree grows by a birth process, 16S-like sequences of `length` nucleotides evolve along it (K80 with conserved regions and
    gamma rates), and every subject (default: one per 4 samples, in 4 studies) carries some ASVs at log-normal abundances, with
    effects of clades by subject, study and sample. A subject's `age` is a line in the log-ratio of clades A and B in its mean
    community, plus noise; its `disease` is a threshold on that of C and D. `sex` is noise. Reads are multinomial.
    ValueError for sizes that make no community.
    """
    # Imported here because it is slow.
    import pandas as pd

    n_subjects = max(1, n_samples // 4) if n_subjects is None else n_subjects
    n_studies = min(4, n_subjects) if n_studies is None else n_studies
    if n_asvs < 8 or length < 3 * REGION or not 1 <= n_studies <= n_subjects <= n_samples:
        raise ValueError("need 8 ASVs, 30 nucleotides, and studies <= subjects <= samples")
    rng = np.random.default_rng(seed)
    parent, branch_length = grow(rng, n_asvs)
    letters = evolve(rng, parent, branch_length, length)
    sequences = [bytes(row).decode() for row in LETTERS[letters]]
    clade, roots = choose_clades(parent, n_asvs)
    subject = np.sort(np.concatenate([np.arange(n_subjects), rng.integers(n_subjects, size=n_samples - n_subjects)]))
    study = rng.permutation(np.arange(n_subjects) % n_studies)
    study_effects = rng.normal(0, STUDY_SD, (n_studies, len(CLADES) + 1))
    counts, shares = _draw(rng, clade, subject, study_effects[study])
    ratios = np.log(np.maximum(shares[:, [0, 2]], SHARE_FLOOR) / np.maximum(shares[:, [1, 3]], SHARE_FLOOR))
    standard = (ratios - ratios.mean(axis=0)) / np.maximum(ratios.std(axis=0), 1e-12)
    age = AGE_MEAN + AGE_SD * standard[:, 0] + rng.normal(0, AGE_NOISE_SD, n_subjects)
    sick = DISEASE_SLOPE * standard[:, 1] + rng.normal(0, DISEASE_NOISE_SD, n_subjects) > 0
    sex = rng.choice(["female", "male"], n_subjects)
    # Depth-first columns would hide mistakes in the order of tips.
    columns = rng.permutation(n_asvs)
    counts = counts[:, columns]
    counts.sort_indices()
    feature_ids = tuple(sequences[column] for column in columns)
    table = FeatureTable(counts, tuple(f"S{sample:05d}" for sample in range(n_samples)), feature_ids)
    names = [f"P{number:05d}" for number in range(n_subjects)]
    truth = {
        "clades": {name: [sequences[tip] for tip in np.flatnonzero(clade == number)] for number, name in enumerate(CLADES)},
        "age": {
            "numerator": "clade_A",
            "denominator": "clade_B",
            "slope": AGE_SD / max(float(ratios[:, 0].std()), 1e-12),
            "mean": AGE_MEAN,
            "noise_sd": AGE_NOISE_SD,
        },
        "disease": {"numerator": "clade_C", "denominator": "clade_D", "slope": DISEASE_SLOPE, "noise_sd": DISEASE_NOISE_SD},
        "effects": {"asv": ASV_SD, "subject": SUBJECT_SD, "study": STUDY_SD, "sample": SAMPLE_SD, "residual": RESIDUAL_SD},
        "study_effects": {f"study{number + 1}": effects.tolist() for number, effects in enumerate(study_effects)},
        "subject_log_ratios": {name: values.tolist() for name, values in zip(names, ratios, strict=True)},
    }
    of_subject = {
        "subject": names,
        "study": [f"study{number + 1}" for number in study],
        "age": age.round(1),
        "disease": np.where(sick, "case", "control"),
        "sex": sex,
    }
    metadata = pd.DataFrame(of_subject).iloc[subject].set_axis(pd.Index(table.sample_ids, name="sample-id"))
    return Simulation(table, feature_ids, _tree(parent, branch_length, sequences, roots), metadata, truth)


def write_simulation(simulation: Simulation, folder: Path) -> None:
    """Write table.biom (BIOM 2.1), tree.nwk, metadata.tsv (as QIIME 2 reads it) and truth.json into `folder`, made if absent."""
    import h5py
    from biom import Table

    folder.mkdir(parents=True, exist_ok=True)
    table = simulation.table
    with h5py.File(folder / "table.biom", "w") as handle:
        Table(sparse.csr_matrix(table.counts.T), table.feature_ids, table.sample_ids).to_hdf5(handle, "AAM")
    write_tree(simulation.tree, folder / "tree.nwk")
    simulation.metadata.to_csv(folder / "metadata.tsv", sep="\t")
    (folder / "truth.json").write_text(json.dumps(simulation.truth, indent=1) + "\n", encoding="utf-8")


def grow(rng: np.random.Generator, n_tips: int) -> tuple[np.ndarray, np.ndarray]:
    """Birth process: parent of each node (-1 for the root, which is node 0; parents come before children) and its branch length."""
    parent = np.full(2 * n_tips - 1, -1)
    born, died = np.zeros(2 * n_tips - 1), np.zeros(2 * n_tips - 1)
    # Time runs from the first split. With k lineages, the next one splits after an exponential time of mean 1 / k.
    times = np.concatenate([[0.0], np.cumsum(rng.exponential(1 / np.arange(2, n_tips + 1)))])
    alive = [0]
    for split, (now, draw) in enumerate(zip(times[:-1], rng.random(n_tips - 1), strict=True)):
        lineage = int(draw * len(alive))
        node, children = alive[lineage], (2 * split + 1, 2 * split + 2)
        died[node] = now
        for child in children:
            parent[child], born[child] = node, now
        alive[lineage] = children[0]
        alive.append(children[1])
    died[alive] = times[-1]
    # Rates differ between lineages, so the tree is no clock.
    return parent, (died - born) * TREE_DEPTH / times[-1] * rng.lognormal(0, 0.3, len(parent))


def evolve(rng: np.random.Generator, parent: np.ndarray, branch_length: np.ndarray, length: int) -> np.ndarray:
    """Distinct sequences of the tips in node order, uint8 [tips, length], as positions in LETTERS (Kimura 1980)."""
    n_regions = -(-length // REGION)
    variable_regions = rng.permutation(n_regions) >= int(CONSERVED_SHARE * n_regions)
    variable = np.repeat(variable_regions, REGION)[:length]
    rate = np.where(variable, rng.gamma(1.0, 1.0, length), 0.0)
    depth = np.zeros(len(parent), dtype=np.int64)
    for node in range(1, len(parent)):
        depth[node] = depth[parent[node]] + 1
    letters = np.empty((len(parent), length), dtype=np.uint8)
    letters[0] = rng.integers(0, 4, length)
    for generation in range(1, int(depth.max()) + 1):
        nodes = np.flatnonzero(depth == generation)
        distance = branch_length[nodes, None] * rate
        slow, fast = np.exp(-4 * distance / (KAPPA + 2)), np.exp(-2 * distance * (KAPPA + 1) / (KAPPA + 2))
        transition, transversion = 0.25 + 0.25 * slow - 0.5 * fast, 0.25 - 0.25 * slow
        bounds = np.cumsum([transition, transversion, transversion], axis=0)
        draw = rng.random(distance.shape)
        change = np.select([draw < bounds[0], draw < bounds[1], draw < bounds[2]], [1, 2, 3], 0).astype(np.uint8)
        letters[nodes] = letters[parent[nodes]] ^ change
    tips = letters[is_tip(parent)]
    # Twins get one more mutation, until there are none.
    while len(twins := np.setdiff1d(np.arange(len(tips)), np.unique(tips, axis=0, return_index=True)[1])):
        sites = rng.choice(np.flatnonzero(variable), len(twins))
        tips[twins, sites] ^= rng.integers(1, 4, len(twins), dtype=np.uint8)
    return tips


def is_tip(parent: np.ndarray) -> np.ndarray:
    """Whether each node is one, bool."""
    tips = np.ones(len(parent), dtype=bool)
    tips[parent[1:]] = False
    return tips


def choose_clades(parent: np.ndarray, n_tips: int) -> tuple[np.ndarray, np.ndarray]:
    """Clade of each tip (its place in CLADES, or after them for the rest) and the nodes of the clades.

    They are the largest subtrees with at most a quarter of the tips, so no one is inside another.
    """
    size = is_tip(parent).astype(np.int64)
    for node in range(len(parent) - 1, 0, -1):
        size[parent[node]] += size[node]
    candidates = np.flatnonzero((size <= n_tips // 4) & (size[parent] > n_tips // 4))
    roots = candidates[np.argsort(-size[candidates], kind="stable")][: len(CLADES)]
    clade = np.full(len(parent), len(CLADES))
    clade[roots] = np.arange(len(CLADES))
    for node in range(1, len(parent)):
        clade[node] = min(clade[node], clade[parent[node]])
    return clade[is_tip(parent)], roots


def _draw(
    rng: np.random.Generator, clade: np.ndarray, subject: np.ndarray, study_effects: np.ndarray
) -> tuple[sparse.csr_array, np.ndarray]:
    """Counts [N, tips], and the share of each of CLADES in the mean community of each subject; arguments as for `draw_subjects`."""
    shares, columns, reads = [], [], []
    for share, samples in draw_subjects(rng, clade, subject, study_effects):
        shares.append(share)
        columns += [carried for carried, _ in samples]
        reads += [drawn for _, drawn in samples]
    indptr = np.cumsum([0, *map(len, columns)])
    counts = sparse.csr_array((np.concatenate(reads), np.concatenate(columns), indptr), shape=(len(subject), len(clade)))
    return counts, np.array(shares)


def draw_subjects(
    rng: np.random.Generator, clade: np.ndarray, subject: np.ndarray, study_effects: np.ndarray
) -> Iterator[tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]]:
    """Of each subject the share of each of CLADES in its mean community, and the tips and reads of each of its samples.

    clade: [tips]; subject: [N], sorted; study_effects: log abundance of each clade and the rest in the study of each subject.
    """
    n_tips, n_groups = len(clade), len(CLADES) + 1
    # Most ASVs are rare, and a subject carries about a hundred, however many there are.
    prevalence = rng.beta(0.5, 2.0, n_tips) * min(1.0, 600 / n_tips)
    abundance = rng.normal(0, ASV_SD, n_tips)
    for effects, n_samples in zip(study_effects, np.bincount(subject), strict=True):
        carried = np.flatnonzero(rng.random(n_tips) < prevalence)
        carried = carried if len(carried) else rng.integers(n_tips, size=1)
        mean = abundance[carried] + (effects + rng.normal(0, SUBJECT_SD, n_groups))[clade[carried]]
        total = np.bincount(clade[carried], weights=np.exp(mean), minlength=n_groups)
        samples = []
        for _ in range(n_samples):
            noise = rng.normal(0, SAMPLE_SD, n_groups)[clade[carried]] + rng.normal(0, RESIDUAL_SD, len(carried))
            weights = np.exp(mean + noise)
            depth = max(1, int(MEDIAN_READS * rng.lognormal(0, READS_SD)))
            drawn = rng.multinomial(depth, weights / weights.sum())
            samples.append((carried[drawn > 0], drawn[drawn > 0]))
        yield (total / total.sum())[: len(CLADES)], samples


def _tree(parent: np.ndarray, branch_length: np.ndarray, sequences: list[str], clade_roots: np.ndarray) -> TreeNode:
    from skbio import TreeNode

    nodes = [TreeNode(length=float(length)) for length in branch_length]
    nodes[0].length = None
    for child in range(1, len(nodes)):
        # TreeNode.append would walk to the root for each of them.
        nodes[child].parent = nodes[parent[child]]
        nodes[parent[child]].children.append(nodes[child])
    for name, root in zip(CLADES, clade_roots, strict=True):
        nodes[root].name = name
    for tip, sequence in zip(np.flatnonzero(is_tip(parent)), sequences, strict=True):
        nodes[tip].name = sequence
    return nodes[0]
