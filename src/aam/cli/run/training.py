"""The run of ``aam train``: read, split, fit, score, write."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from aam.cli.configs import TrainConfig
from aam.cli.run.folder import start_run, write_split
from aam.cli.run.results import score_held_out, score_table, write_metrics
from aam.compute import check_compute
from aam.disk.cache import Cache
from aam.disk.json_files import write_json
from aam.errors import counted
from aam.learners.ensemble import EnsembleLearner, cross_fitted
from aam.learners.transformer import GivenEncoder, TransformerLearner, calibrated
from aam.learners.workspace import Workspace
from aam.parallel.ranks import by_first
from aam.saved.folder import TARGETS, kept_said, write_targets
from aam.saved.info import Part
from aam.saved.load import load_encoder
from aam.saved.start import load_start
from aam.saved.transformer import FittedEncoder, FittedTransformer
from aam.scoring.scores import no_better_than_trivial
from aam.study.problem import Problem
from aam.study.reading import read_samples
from aam.study.several import JointProblem, own_rows, pose_columns, require_learnable
from aam.study.splits import Split
from aam.study.targets import ClassTarget, RegressionTarget
from aam.study.tree import on_given_distances, with_distances
from aam.tracking.tracked import Tracked, tracked_run
from aam.training.fit import monitor_of

log = logging.getLogger(__name__)

ConfigT = TypeVar("ConfigT", bound=TrainConfig)


def check_metric(config: TrainConfig) -> None:
    """InputError for what cannot choose the best epoch of one target; of several the learner says so."""
    if "," not in config.target.metadata_column:
        monitor_of(config.fit.best_metric, (ClassTarget if config.target.classifier else RegressionTarget).best_metrics)


def run_training(config: TrainConfig) -> None:
    """Train by the recipe that is asked for."""
    with tracked_run(config.tracking.track, config.output.output_dir) as tracked:
        (train_ensemble if config.recipe == "ensemble" else train_transformer)(config, tracked)


def train_ensemble(config: TrainConfig, tracked: Tracked) -> None:
    """Fit the members, weigh them on groups that they did not see, score them on the test samples, and save them."""
    folder = start_run(config, alone="an ensemble", tracked=tracked)
    log.info("fitting an ensemble, the default recipe (`recipe=transformer` trains a transformer)")
    if config.output.resume:
        log.warning("an ensemble keeps nothing to continue from: it is fitted from the start")
    whole = read_problem(config)
    split = whole.study.split(config.samples, config.fit.seed, whole.labels)
    log.info("the validation samples are trained on, too: an ensemble chooses no epoch")
    split = replace(split, train=np.sort(np.concatenate([split.train, split.val])), val=split.val[:0])
    require_learnable(whole.parts, split)
    learner = EnsembleLearner(config.ensemble, config.fit.seed, show=True, augment=config.augmenting)
    for problem in whole.parts:
        learner.check(problem, own_rows(problem, split.train))
    write_beginning(whole, split, folder, config.output.resume)
    for problem, place in places_of(whole, folder):
        fit_ensemble(learner, problem, split, place, config.samples.group_column)


def fit_ensemble(learner: EnsembleLearner, problem: Problem, split: Split, folder: Path, group_column: str | None) -> None:
    """The ensemble of one target, of the samples that have a value."""
    split = replace(split, train=own_rows(problem, split.train), test=own_rows(problem, split.test))
    fitted = learner.fit(problem, split.train)
    assert fitted.weighing is not None  # it is fresh
    weighing = fitted.weighing
    part: Part
    if len(split.test):
        part, held_out, predicted = "test", split.test, fitted.predict(problem.study, split.test)
    else:
        part, held_out, predicted = "cross-fitted", split.train, cross_fitted(fitted)
    scores = score_held_out(fitted, problem, predicted, held_out, split.train, folder)
    if "90" not in fitted.target.intervals:
        log.warning("no 90 % prediction intervals: they need 9 or more groups to train on")
    said = kept_said(folder / "model")
    fitted = replace(fitted, info=fitted.info.scored(scores, problem.study, group_column, split, (part, held_out), said))
    fitted.save(folder / "model")
    about = {
        "recipe": "ensemble",
        "held_out_part": part,
        "held_out_samples": len(held_out),
        "held_out": scores,
        "cross_fit_folds": len(fitted.ensemble.members.get("network", ())),
        "weights": dict(fitted.ensemble.weights),
        "member_scores": dict(weighing.scores),
        "standard_errors_behind_the_best": dict(weighing.behind),
        "augmentation": None if fitted.augmentation is None else fitted.augmentation.about(),
    }
    write_json(folder / "metrics.json", about)
    say_scores(problem, part, len(held_out), scores, folder)


def train_transformer(config: TrainConfig, tracked: Tracked) -> None:
    """Train a transformer, from scratch or from a pretrained encoder, and score it on the test samples."""
    check_metric(config)
    check_compute(config.compute)
    config, learner = transformer_of(config)
    if config.tracking.track:
        learner = replace(learner, workspace=Workspace(config.output.output_dir, config.output.resume, tracked))
    start = learner.start.fitted if isinstance(learner.start, GivenEncoder) else None
    resume, cache = config.output.resume, learner.cache
    folder = start_run(config, tracked=tracked)
    begins = "from scratch" if start is None else f"from the encoder in {config.encoder.pretrained_encoder}"
    begins = begins if learner.weights is None else f"from the weights in {learner.weights.path}"
    log.info("training a transformer %s, as `recipe` says", begins)
    if start is not None:
        warn_of_differences(start, config)
    problem = read_problem(config)
    split = problem.study.split(config.samples, config.fit.seed, problem.labels)
    rows = np.sort(np.concatenate([split.train, split.val]))
    learner = replace(learner, validation=split.val)
    require_learnable(problem.parts, split)
    learner.check(problem, rows)
    write_beginning(problem, split, folder, resume)
    if config.objectives.is_taught:
        problem = problem.on(with_distances(problem.study, config.distances, cache, folder / "tree.nwk", resume))
    elif config.distances.tree or config.distances.unifrac_matrix:
        log.warning("the tree or matrix is not used: `penalty`, the weight of the UniFrac loss beside the target, is 0")
    models, result = learner.fit_at_once(problem, rows)
    part, held_out = split.held_out
    ids = problem.study.ids(held_out)
    known = 0 if start is None else len(set(start.info.learned_from).intersection(ids))
    if again := len(set(learner.seen_before).intersection(ids)):
        log.warning("%d of the %d held-out samples were seen by the run of `init_from`: scores are too good", again, len(held_out))
    if known:
        log.warning("%d of the %d held-out samples were seen, without labels, in pretraining", known, len(held_out))
    places = places_of(problem, folder)
    group_column = config.samples.group_column
    found = [finish_transformer(fitted, *place, split, group_column) for fitted, place in zip(models, places, strict=True)]
    about: dict[str, Any] = {"held_out_part": part, "held_out_samples": len(held_out), "held_out_seen_in_pretraining": known}
    if models[0].augmentation is not None:
        about["augmentation"] = models[0].augmentation.about()
    scores = found[0] if isinstance(problem, Problem) else dict(zip(problem.target.names, found, strict=True))
    write_metrics(folder, result, {"recipe": "transformer", **about, "held_out": scores})


def transformer_of(config: ConfigT) -> tuple[ConfigT, TransformerLearner]:
    """The learner that is asked for, and the options with the shape of the encoder that it starts from."""
    pretrained = config.encoder.pretrained_encoder
    start = None if pretrained is None else load_encoder(pretrained, "pretrained_encoder", config.compute)
    if start is not None:
        config = with_shape_of(start, config)
    learner = TransformerLearner(
        model=config.model,
        objectives=config.objectives,
        options=config.fit,
        compute=config.compute,
        start=None if start is None else GivenEncoder(start),
        weights=None if config.encoder.init_from is None else load_start(config.encoder.init_from, config.model),
        augment=config.augmenting,
        freeze_base=config.encoder.freeze_base,
        val_fraction=config.samples.val_fraction,
        cache=Cache.of(config.caching),
        workspace=Workspace(config.output.output_dir, config.output.resume),
    )
    return config, learner


def finish_transformer(
    fitted: FittedTransformer, problem: Problem, folder: Path, split: Split, group_column: str | None
) -> dict[str, float]:
    """Score what was fitted to one target on the held-out samples that have a value, calibrate it on them, and save it."""
    part, held_out = split.held_out
    held_out = own_rows(problem, held_out)
    predicted = fitted.predict(problem.study, held_out)
    scores = score_held_out(fitted, problem, predicted, held_out, own_rows(problem, split.train), folder)
    if part == "test":
        # Validation samples chose the epoch: their errors are too small to promise anything by.
        fitted = calibrated(fitted, problem, held_out, predicted)
    said = kept_said(folder / "model")
    fitted = replace(fitted, info=fitted.info.scored(scores, problem.study, group_column, split, (part, held_out), said))
    fitted.save(folder / "model")
    about = {"recipe": "transformer", "held_out_part": part, "held_out_samples": len(held_out), "held_out": scores}
    by_first(write_json)(folder / "metrics.json", about)
    say_scores(problem, part, len(held_out), scores, folder)
    return scores


def write_beginning(problem: Problem | JointProblem, split: Split, folder: Path, resume: bool) -> None:
    """Write which samples are in which part, and which targets there are, of several."""
    write_split(problem.study, split, folder, resume)
    if isinstance(problem, JointProblem):
        by_first(write_targets)(folder, problem.target.names)


def places_of(problem: Problem | JointProblem, folder: Path) -> list[tuple[Problem, Path]]:
    """Problems with the folders of their results: that of the run, or of several one for each in it."""
    if isinstance(problem, Problem):
        return [(problem, folder)]
    return [(part, folder / TARGETS / part.column) for part in problem.parts]


def read_problem(config: TrainConfig) -> Problem | JointProblem:
    """The study, and what to predict in it."""
    # A transformer needs sequences.
    by_id = None if config.recipe == "ensemble" else False
    study = read_samples(config.data, config.reads, config.samples, config.target, by_id=by_id, check=config.check_columns)
    if config.objectives.is_taught:
        cache, ignore_missing = Cache.of(config.caching), config.data.ignore_missing
        study = on_given_distances(study, config.distances, cache, ignore_missing=ignore_missing)
    return pose_columns(study, config.target, config.samples.group_column)


def say_scores(problem: Problem, part: str, number: int, scores: dict[str, float], folder: Path) -> None:
    """The last lines of the log."""
    log.info("%s", score_table(f"{problem.column} of {counted(number, 'held-out sample')} ({part})", scores))
    if (trivial := no_better_than_trivial(problem.column, scores)) is not None:
        log.warning("%s", trivial)
    log.info("wrote %s", folder)


def with_shape_of(start: FittedEncoder, config: ConfigT) -> ConfigT:
    """The run's options with the width, layers and sequence length of the pretrained encoder."""
    model = replace(start.info.options, dropout=config.model.dropout)
    return replace(config, model=model, reads=replace(config.reads, max_bp=start.info.reads.max_bp))


def warn_of_differences(start: FittedEncoder, config: TrainConfig) -> None:
    """Say what shape the encoder has, and where samples are read otherwise than in pretraining."""
    options, reads = start.info.options, start.info.reads
    layers = counted(options.attention_layers, "layer")
    log.info("its shape: width %d, %s, %d nt", options.embedding_dim, layers, reads.max_bp)
    for option in ("sampling_depth", "token_limit"):
        before, now = getattr(reads, option), getattr(config.reads, option)
        if before != now:
            log.warning("`%s` is %s, in pretraining it was %s", option, now, before)
