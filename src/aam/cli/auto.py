"""``aam train --auto``: several models of a target and their weights, in one model folder."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from aam.artifact import ModelInfo
from aam.cli.fitting import Problem, pose_problem
from aam.cli.predict import decode_training_units
from aam.cli.results import score_table
from aam.cli.study import Study, drawn, write_split
from aam.config import TrainComputeOptions, TreeOptions
from aam.data.splits import Split
from aam.data.targets import ClassTarget
from aam.ensemble.ensemble import FittedMembers, Samples, fit_members
from aam.ensemble.familiar import Familiar
from aam.ensemble.members import MEMBERS, NETWORKS
from aam.ensemble.network import OPTIONS
from aam.ensemble.saved import save_ensemble
from aam.ensemble.weights import loss
from aam.evaluation.intervals import scores_of, threshold
from aam.finite import finite_or_null
from aam.writing import write_text

if TYPE_CHECKING:
    from aam.cli.train import TrainConfig

log = logging.getLogger(__name__)


def train_auto(config: TrainConfig, study: Study, folder: Path) -> None:
    """Fit the members, weigh them on groups that they did not learn from, score them on the test part, and save them."""
    from aam.cli.train import score

    if config.distances != TreeOptions() or config.compute != TrainComputeOptions():
        log.warning("options of trees, distances, memory and speed are of one network (--no-auto): they are not used")
    study = drawn(study, config.reads, config.fit.seed)

    def split_by(labels: np.ndarray | None) -> Split:
        split = study.split(config.samples, config.fit.seed, labels)
        # No epoch is chosen: the validation samples are learned from too.
        return Split(np.sort(np.concatenate([split.train, split.val])), split.val[:0], split.test)

    problem = pose_problem(study, config.target, split_by)
    write_split(study, problem.split, folder, config.output.resume)
    rows, names = problem.split.train, MEMBERS if config.recipe.trees else NETWORKS
    samples = samples_of(problem, study.groups(config.samples.group_column))
    fitted = fit_members(samples, rows, names, config.fit.seed, torch.get_num_threads(), show=True)
    ensemble, judged = fitted.combine(names)
    log.info("weights: %s", ", ".join(f"{name} {weight:.2f}" for name, weight in ensemble.weights.items()))
    decoded = decode_training_units(judged, problem.info.target)
    interval = limit_of(problem, fitted, decoded)
    part, held_out = ("test", problem.split.test) if len(problem.split.test) else ("cross-fitted", rows)
    if part == "test":
        decoded = decode_training_units(ensemble.predict(fitted.lesson.table, held_out), problem.info.target)
    scores = score(problem, decoded, held_out, folder)
    info = ModelInfo(OPTIONS, config.reads, None, replace(problem.info, interval=interval), study.ids(rows), scores)
    familiar = Familiar.fit(fitted.lesson.table, rows, fitted.lesson.groups_of(rows))
    save_ensemble(folder / "model", ensemble, familiar, info)
    about: dict[str, Any] = {
        "held_out_part": part,
        "held_out_samples": len(held_out),
        "held_out": scores,
        "parts": len(ensemble.members["network"]),
        "weights": dict(ensemble.weights),
        "member_losses": {name: loss(fitted.lesson.target[rows], said) for name, said in fitted.fitted.judged.items()},
        "loss": loss(fitted.lesson.target[rows], judged),
    }
    write_text(folder / "metrics.json", json.dumps(finite_or_null(about), indent=2) + "\n")
    log.info("%s", score_table(f"{config.target.metadata_column} of {len(held_out)} held-out samples ({part})", scores))
    log.info("wrote %s", folder)


def samples_of(problem: Problem, groups: np.ndarray | None) -> Samples:
    """What members may learn from."""
    study, target = problem.study, problem.info.target
    classes = len(target.classes) if isinstance(target, ClassTarget) else None
    learned = problem.target if classes else problem.target.astype(np.float64)
    return Samples(study.table.counts, study.asv_tokens, learned, classes, groups)


def limit_of(problem: Problem, fitted: FittedMembers, decoded: np.ndarray) -> float | None:
    """How wrong predictions of new groups are at most, 9 times in 10, by those of training samples that were not learned from."""
    rows, groups = fitted.rows, fitted.lesson.groups_of(fitted.rows)
    found = threshold(scores_of(problem.truth[rows], decoded), rows if groups is None else groups)
    if not np.isfinite(found):
        log.warning("no intervals: they need 9 or more groups to learn from")
        return None
    return found
