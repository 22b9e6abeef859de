"""Augmented copies of training samples, behind the samples of a table: members learn from them beside the samples themselves."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from aam.augment.registry import augmented, mixed_target
from aam.augment.sample import Clades, Context, Sample
from aam.distances.unifrac import UniFrac
from aam.ensemble.training import Training
from aam.options import Step
from aam.study.changed import behind, of_changed
from aam.study.problem import Problem


def with_copies(training: Training, steps: Sequence[Step], parts: Sequence[np.ndarray]) -> tuple[Training, list[np.ndarray]]:
    """A table with a copy of each sample of each of some parts, changed by `steps`, behind its own samples; and the rows of the
    parts with their copies.

    The copies of a part come from its samples alone. A copy is of its sample's group. Same seed, sample ids and parts, same copies.
    """
    problem, study = training.problem, training.problem.study
    counts, tokens = study.counts, study.asv_tokens
    clades = Clades.of(study.distance.phylogeny, counts.shape[1]) if isinstance(study.distance, UniFrac) else None

    def read(row: int) -> tuple[np.ndarray, np.ndarray]:
        reads = slice(*counts.indptr[row : row + 2])
        return counts.indices[reads], counts.data[reads]

    # Mixed as it is learned: on the scale of the target.
    learned = problem.learned.astype(problem.truth.dtype)
    made: list[Sample] = []
    truth, whole = [], []
    for number, rows in enumerate(parts):
        ordered = np.array(sorted(rows, key=lambda row: study.table.sample_ids[row]), dtype=np.int64)
        context = Context(ordered, read, tokens, clades)
        whole.append(np.concatenate([rows, len(study) + len(made) + np.arange(len(rows))]))
        for row in rows:
            key = zlib.crc32(study.table.sample_ids[row].encode())
            sample, rng = augmented(Sample.of(int(row), *read(row)), steps, context, (training.seed, number, key))
            made.append(sample)
            truth.append(_truth(problem, learned, sample, rng))
    # No two are alike: a sample has a copy in each part.
    ids = [f"{study.table.sample_ids[sample.parents[0]]} copy {number}" for number, sample in enumerate(made)]
    more = behind(study, of_changed(study, made, ids))
    first = np.array([sample.parents[0] for sample in made], dtype=np.int64)
    extended = replace(
        problem,
        study=more,
        truth=np.concatenate([problem.truth, np.array(truth, dtype=problem.truth.dtype)]),
        groups=None if problem.groups is None else np.concatenate([problem.groups, problem.groups[first]]),
        confounder=None if problem.confounder is None else np.concatenate([problem.confounder, problem.confounder[first]]),
        levels=None if problem.levels is None else np.concatenate([problem.levels, problem.levels[first]]),
    )
    table, design = training.catalogue.see(more), training.table.design
    # A copy has the covariates of its sample.
    table = replace(table, design=None if design is None else np.concatenate([design, design[first]]))
    return replace(training, problem=extended, table=table), whole


def _truth(problem: Problem, learned: np.ndarray, sample: Sample, rng: np.random.Generator) -> Any:
    """What is true of a copy, in original units or as a class id; learned: as models learn it [N]."""
    if len(sample.parents) == 1:
        return problem.truth[sample.parents[0]]
    mixed = mixed_target(learned, sample, rng)
    # Of the level of the sample that it is a copy of.
    return mixed if problem.classes else problem.placed(problem.target.decode(np.array([mixed])), np.array(sample.parents[:1]))[0]
