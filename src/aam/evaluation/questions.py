"""Questions as they are read: the samples, what to predict in them, and their distances."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from aam.disk.cache import Cache
from aam.options import Question
from aam.study.problem import Problem, pose
from aam.study.reading import join, read_samples
from aam.study.tree import on_given_distances, with_distances


def read_question(
    question: Question, seed: int, cache: Cache, *, tree: Path, resume: bool = False, by_id: bool | None = None
) -> tuple[Problem, int]:
    """The problem, with the samples of `test_table` behind those of `table`; and how many samples `table` has.

    tree: file where a tree that is built from the sequences is kept, and with `resume` taken from; by_id: see `read_samples`.
    """
    options, confounder = question.folding, question.folding.confounder_column
    how: dict[str, Any] = {"confounder_column": confounder, "by_id": by_id}
    study = read_samples(question.data, question.reads, question.samples, question.target, **how)
    learned = study.table.sample_ids
    if options.test_table is not None:
        data = replace(question.data, table=options.test_table, more_tables=(), rep_seqs=options.test_rep_seqs)
        samples = replace(question.samples, metadata=options.test_metadata or question.samples.metadata)
        study = join(study, read_samples(data, question.reads, samples, question.target, **how))
    # All models see the same reads.
    study = study.drawn(seed)
    study = on_given_distances(study, question.distances, cache, ignore_missing=question.data.ignore_missing)
    posed = pose(study, question.target, question.samples.group_column, confounder)
    if study.sequences is not None:
        # What cannot be predicted has been said: a tree takes long to build.
        posed = posed.on(with_distances(study, question.distances, cache, tree, resume))
    return posed, len(set(learned) & set(study.table.sample_ids))
