"""Tables of an evaluation: folds, predictions, and facts about the study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from aam import __version__
from aam.disk.writing import write_tsv
from aam.evaluation.compare import Outcome
from aam.evaluation.coverage import fold_quantiles, fold_thresholds
from aam.options import FoldOptions, FoldPretrainOptions
from aam.study.folds import Fold
from aam.study.problem import Problem


def write_folds(problem: Problem, folds: Sequence[Fold], path: Path) -> None:
    """folds.tsv: the fold of each repeat in which a sample is held out."""
    ids, groups = problem.study.table.sample_ids, problem.groups
    rows = [
        (fold.repeat + 1, fold.number + 1, ids[row], "" if groups is None else groups[row]) for fold in folds for row in fold.test
    ]
    write_tsv(path, pd.DataFrame(rows, columns=["repeat", "fold", "sample", "group"]), index=False)


def write_predictions(outcome: Outcome, path: Path) -> None:
    """predictions.tsv: every model, every held-out sample, with its 90 % interval and the quantiles that were asked for, or the set
    and probabilities of classes.

    The column of a class's probability is `probability_` and the name of the class as the metadata has it.
    """
    problem, target = outcome.problem, outcome.problem.target
    truth = problem.truth if problem.labels is None else problem.labels
    parts = []
    for model, by_fold in outcome.predictions.items():
        known = zip(outcome.folds, by_fold, fold_thresholds(outcome, model), fold_quantiles(outcome, model), strict=True)
        for fold, predicted, limit, quantiles in known:
            columns = {
                "model": model,
                "repeat": fold.repeat + 1,
                "fold": fold.number + 1,
                "sample": problem.study.ids(fold.test),
                "true": truth[fold.test],
                "predicted": target.names(predicted),
                **target.interval_table(predicted, limit),
                **({} if quantiles is None else target.quantile_table(quantiles)),
                **{f"probability_{name}": predicted[:, k] for k, name in enumerate(target.classes)},
            }
            parts.append(pd.DataFrame(columns))
    write_tsv(path, pd.concat(parts), index=False)


def facts_of(
    problem: Problem,
    options: FoldOptions,
    *,
    table: str,
    group_column: str | None = None,
    pretraining: FoldPretrainOptions | None = None,
    recovered: float | None = None,
    run: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """What the report says of the study, by name.

    table: name of its file; pretraining: of the transformers, None without any; recovered: Spearman correlation (`recovery_of`);
    run: facts about the run itself, which come last (`facts_of_run`).
    """
    samples, asvs = problem.study.counts.shape
    groups = "none: folds are random" if problem.groups is None else f"{len(set(problem.groups)):,} of {group_column}"
    facts = {
        "column": problem.column,
        "table": table,
        "samples": f"{samples:,}",
        "ASVs" if problem.study.sequences else "features": f"{asvs:,}",
        "groups": groups,
    }
    if problem.labels is not None:
        names, members = np.unique(problem.labels, return_counts=True)
        facts["classes"] = ", ".join(f"{name} ({number:,})" for name, number in zip(names, members, strict=True))
    facts["held out"] = _held_out(options)
    if pretraining is not None:
        facts["pretraining"] = (
            "on all samples, without labels" if pretraining.transductive else "on the training samples of each fold"
        )
    if recovered is not None:
        facts["UniFrac recovery"] = f"Spearman {recovered:.3f}, held-out samples"
    return facts | dict(run or {})


def facts_of_run(seed: int, command: str) -> dict[str, str]:
    """When, by which version, and how the figures were made; command: as the user gave it."""
    now = datetime.now().astimezone()
    return {"date": f"{now:%Y-%m-%d %H:%M %Z}", "version": f"AAM {__version__}", "seed": str(seed), "command": command}


def _held_out(options: FoldOptions) -> str:
    if options.test_table is not None:
        return f"all samples of {options.test_table.name}"
    if options.leave_one_group_out:
        return "each group in turn"
    return f"{options.folds} folds, {options.repeats} {'repeat' if options.repeats == 1 else 'repeats'}"
