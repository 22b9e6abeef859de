"""Learners beside each other in folds by group of a real question: what is computed is kept; scores, gains with intervals."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from aam.disk.cache import Cache
from aam.evaluation.compare import Outcome, mean_score, resampled_scores
from aam.options import GroupOptions, ReadOptions, TableOptions, TargetOptions, TreeOptions
from aam.study.folds import Fold
from aam.study.problem import Problem, pose
from aam.study.reading import read_samples
from aam.study.tree import on_given_distances
from benchmarks.accuracy import KNOWN, Question
from benchmarks.measure import ROOT

Arrays = Mapping[str, np.ndarray]


def parser_of(name: str, about: str) -> argparse.ArgumentParser:
    """Where the tables are, where results are kept, and which known questions are asked."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=about)
    tables = os.environ.get("AAM_TEST_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(tables))
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / name)
    parser.add_argument("--questions", nargs="+", default=[question.name for question in KNOWN])
    return parser


def problem_of(question: Question, data: Path, reads: ReadOptions | None = None, tree: bool = True) -> Problem:
    """As `aam evaluate` poses it, at its defaults but for what is read of a sample; with distances along the tree, or without."""
    folder, words = data / question.table, list(question.options)
    given = {name: words[words.index(name) + 1] for name in ("--where", "--group-column") if name in words}
    sequences = folder / "seqs.fasta"
    table = TableOptions(table=folder / "table.biom", rep_seqs=sequences if sequences.is_file() else None, ignore_missing=True)
    metadata, group_column = (folder / "metadata.tsv",), given.get("--group-column")
    samples = GroupOptions(metadata=metadata, where=given.get("--where"), group_column=group_column)
    target = TargetOptions(metadata_column=question.column, classifier="--classifier" in words)
    study = read_samples(table, reads or ReadOptions(), samples, target)
    if tree:
        study = on_given_distances(study, TreeOptions(tree=folder / "tree.nwk"), Cache(None), ignore_missing=True)
    return pose(study, target, group_column)


def kept(compute: Callable[[Fold], Arrays], folds: Sequence[Fold], stem: Path) -> list[Arrays]:
    """The arrays of each fold, kept in files whose names begin with `stem`."""
    found: list[Arrays] = []
    for fold in folds:
        path = stem.with_name(f"{stem.name}-{fold.number}.npz")
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, allow_pickle=False, **compute(fold))
        with np.load(path) as arrays:
            found.append(dict(arrays))
    return found


def gain_of(outcome: Outcome, name: str, base: str) -> str:
    """Score of one and its gain over the base, with the 95 % interval over resampled groups."""
    measure = outcome.measure
    score = mean_score(outcome, name)
    if name == base:
        return f"{score:.4g}"
    gains = measure.gain(resampled_scores(outcome, name), resampled_scores(outcome, base))
    low, high = np.nanpercentile(gains, [2.5, 97.5])
    gain = float(measure.gain(score, mean_score(outcome, base)))
    return f"{score:.4g}, {measure.signed(gain)} ({measure.between(float(low), float(high))})"
