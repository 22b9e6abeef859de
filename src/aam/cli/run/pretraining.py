"""The run of ``aam pretrain``: read, split, fit, score, write."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from aam.cli.configs import PretrainConfig
from aam.cli.run.folder import start_run, write_split
from aam.cli.run.results import score_table, write_metrics
from aam.compute import check_compute
from aam.disk.cache import Cache
from aam.errors import counted
from aam.evaluation.recovery import distance_pairs, plot_pairs
from aam.learners.pretraining import PretrainingLearner
from aam.learners.workspace import Workspace
from aam.saved.start import load_start
from aam.scoring.plots import save
from aam.scoring.scores import distance_scores, no_better_than_trivial
from aam.study.reading import read_samples
from aam.study.tree import on_given_distances, with_distances

log = logging.getLogger(__name__)


def run_pretraining(config: PretrainConfig) -> None:
    """Pretrain an encoder, and score how well distances between held-out samples are recovered."""
    resume = config.output.resume
    learner = PretrainingLearner(
        model=config.model,
        objectives=config.objectives,
        options=config.fit,
        compute=config.compute,
        weights=None if config.start.init_from is None else load_start(config.start.init_from, config.model),
        workspace=Workspace(config.output.output_dir, resume),
    )
    # What is not measured is refused before anything is read.
    learner.monitor  # noqa: B018
    check_compute(config.compute)
    folder = start_run(config)
    log.info("pretraining an encoder without labels")
    study = read_samples(config.data, config.reads, config.samples)
    learns_distances, cache = config.objectives.learns_distances, Cache.of(config.caching)
    if learns_distances:
        study = on_given_distances(study, config.distances, cache, ignore_missing=config.data.ignore_missing)
    split = study.split(config.samples, config.fit.seed)
    learner = replace(learner, validation=split.val)
    rows = np.sort(np.concatenate([split.train, split.val]))
    learner.check(study, rows)
    if learns_distances:
        study = with_distances(study, config.distances, cache, folder / "tree.nwk", resume)
    write_split(study, split, folder, resume)
    fitted, result = learner.fit_with_history(study, rows)
    part, held_out = split.held_out
    scores: dict[str, float] = {}
    if learns_distances:
        pairs = distance_pairs(fitted, study, held_out)
        save(plot_pairs(pairs), folder / "plots" / "unifrac.png")
        scores = distance_scores(*pairs)
    fitted = replace(fitted, info=replace(fitted.info, scores=scores))
    fitted.save(folder / "model")
    write_metrics(folder, result, {"held_out_part": part, "held_out_samples": len(held_out), "held_out": scores})
    if scores:
        log.info("%s", score_table(f"UniFrac of {counted(len(held_out), 'held-out sample')} ({part})", scores))
        if (trivial := no_better_than_trivial(scores)) is not None:
            log.warning("%s", trivial)
    log.info("wrote %s", folder)
