"""The run of ``aam pretrain``: read, split, fit, score, write."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from aam.cli.configs import PretrainConfig
from aam.cli.run.folder import start_run, write_split
from aam.cli.run.results import score_table, write_metrics
from aam.compute import check_compute
from aam.disk.cache import Cache
from aam.errors import counted
from aam.evaluation.recovery import plot_points, recovered, scores_of_asvs
from aam.learners.pretraining import PretrainingLearner
from aam.learners.workspace import Workspace
from aam.saved.folder import kept_said
from aam.saved.start import load_start
from aam.saved.transformer import FittedEncoder
from aam.scoring.plots import save
from aam.scoring.scores import distance_scores, no_better_than_trivial
from aam.study.reading import read_samples
from aam.study.splits import Split
from aam.study.study import Study
from aam.study.tree import on_given_distances, with_distances
from aam.tracking.tracked import Tracked, tracked_run
from aam.training.objectives.taught import KINDS, Taught, check_distances, read_given, taught_by, tree_is_needed, with_given

log = logging.getLogger(__name__)


def run_pretraining(config: PretrainConfig) -> None:
    """Pretrain an encoder, and score how well distances between held-out samples are recovered."""
    with tracked_run(config.tracking.track, config.output.output_dir) as tracked:
        pretrain_encoder(config, tracked)


def pretrain_encoder(config: PretrainConfig, tracked: Tracked) -> None:
    """The same, told to trackers."""
    resume = config.output.resume
    learner = PretrainingLearner(
        model=config.model,
        objectives=config.objectives,
        options=config.fit,
        compute=config.compute,
        augment=config.augmenting,
        groups_in_batch=config.samples.groups_in_batch,
        weights=None if config.start.init_from is None else load_start(config.start.init_from, config.model),
        workspace=Workspace(config.output.output_dir, resume, tracked if config.tracking.track else None),
    )
    check_distances(config.objectives, config.distances)
    learner.monitor  # noqa: B018 - what is not measured is refused before anything is read
    check_compute(config.compute)
    folder = start_run(config, tracked=tracked)
    study = read_samples(config.data, config.reads, config.samples)
    given = read_given(config.objectives)
    study = with_given(study, given, ignore_missing=config.data.ignore_missing)
    on_tree, cache = tree_is_needed(config.objectives), Cache.of(config.caching)
    if on_tree:
        study = on_given_distances(study, config.distances, cache, ignore_missing=config.data.ignore_missing)
    split = study.split(config.samples, config.fit.seed)
    learner = replace(learner, validation=split.val)
    rows = np.sort(np.concatenate([split.train, split.val]))
    groups = study.labels(config.samples.group_column)
    learner.check(study, rows, groups)
    if on_tree:
        study = with_distances(study, config.distances, cache, folder / "tree.nwk", resume)
    taught = taught_by(study, config.objectives, given)
    # A matrix may be large.
    given.clear()
    write_split(study, split, folder, resume)
    fitted, result = learner.fit_with_history(study, rows, groups, taught=taught)
    part, held_out = split.held_out
    scores = score_types(fitted, study, taught, split, folder)
    first = next(iter(scores.values()), {})
    said = kept_said(folder / "model")
    fitted = replace(fitted, info=fitted.info.scored(first, study, config.samples.group_column, split, (part, held_out), said))
    fitted.save(folder / "model")
    about = {"held_out_part": part, "held_out_samples": len(held_out), "held_out": first, "encoder_types": scores}
    write_metrics(folder, result, about)
    for name, found in scores.items():
        title = KINDS[name].title
        log.info("%s", score_table(f"{title} of {counted(len(held_out), 'held-out sample')} ({part})", found))
        if (trivial := no_better_than_trivial(title, found)) is not None:
            log.warning("%s", trivial)
    log.info("wrote %s", folder)


def score_types(fitted: FittedEncoder, study: Study, taught: Taught, split: Split, folder: Path) -> dict[str, dict[str, float]]:
    """Scores of held-out samples, by encoder type, with a plot of each that is of samples."""
    held_out = split.held_out[1]
    points = recovered(fitted, study, held_out, taught.measures)
    for name, found in points.items():
        save(plot_points(found, KINDS[name].title, KINDS[name].between), folder / "plots" / f"{name}.png")
    scores = {name: distance_scores(*found) for name, found in points.items()}
    of_asvs = [kind for kind in taught.types if not kind.of_samples]
    return scores | {kind.name: scores_of_asvs(fitted, study, kind, split.train, held_out) for kind in of_asvs}
