"""Learners beside each other in folds by group of a real question: what is computed is kept; scores, gains with intervals."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from aam.benchmark.suite import read_suite
from aam.disk.cache import Cache
from aam.evaluation.compare import Outcome, mean_score, resampled_scores
from aam.options import Question, ReadOptions
from aam.scoring.resampling import interval
from aam.study.folds import Fold
from aam.study.problem import Problem, pose
from aam.study.reading import read_samples
from aam.study.tree import on_given_distances
from benchmarks.measure import ROOT

Arrays = Mapping[str, np.ndarray]


def parser_of(name: str, about: str) -> argparse.ArgumentParser:
    """Where the tables are, where results are kept, and which questions are asked."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=about)
    tables = os.environ.get("AAM_TEST_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(tables))
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / name)
    parser.add_argument("--questions", nargs="+", help="names of questions in suite.yaml (default: all)")
    return parser


def asked(given: argparse.Namespace) -> dict[str, Question]:
    """The questions that are asked, of `suite.yaml`, by name."""
    questions = read_suite(ROOT / "benchmarks" / "suite.yaml", given.data).questions
    return {name: questions[name] for name in given.questions or questions}


def problem_of(question: Question, reads: ReadOptions | None = None, tree: bool = True) -> Problem:
    """As `aam evaluate` poses it, at its defaults but for what is read of a sample; with distances along the tree, or without."""
    study = read_samples(question.data, reads or question.reads, question.samples, question.target)
    if tree:
        study = on_given_distances(study, question.distances, Cache(None), ignore_missing=True)
    return pose(study, question.target, question.samples.group_column)


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
    low, high = interval(gains)
    gain = float(measure.gain(score, mean_score(outcome, base)))
    return f"{score:.4g}, {measure.signed(gain)} ({measure.between(low, high)})"
