"""The run of ``aam tune``: read, split, search, score, write."""

from __future__ import annotations

import logging
import shlex
import sys
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from aam.cli.config_file import write_config
from aam.cli.configs import TrainConfig, TuneConfig
from aam.cli.run.folder import start_run, write_split
from aam.cli.run.training import check_metric, read_problem, transformer_of
from aam.compute import check_compute
from aam.disk.cache import Cache
from aam.disk.json_files import write_json
from aam.errors import Stopped
from aam.evaluation.results import facts_of_run
from aam.learners.ensemble import EnsembleLearner
from aam.learners.transformer import TransformerLearner
from aam.options import Options
from aam.study.problem import Problem
from aam.study.several import require_learnable
from aam.study.tree import with_distances
from aam.tuning.identity import identity_of
from aam.tuning.outer import judge
from aam.tuning.page import write_page, write_trials
from aam.tuning.search import key_of_samples, search
from aam.tuning.space import default_space, read_space
from aam.tuning.trials import Trials, require_optuna, require_trials
from aam.tuning.tunable import TunedEnsemble, TunedTransformer, changed

log = logging.getLogger(__name__)


def run_tuning(config: TuneConfig) -> None:
    """Search, score the choice beside the untuned options on the test samples, and write the page."""
    require_optuna()
    check_compute(config.compute)
    options, given = config.tuning, config
    tunable: TunedEnsemble | TunedTransformer
    if config.recipe == "ensemble":
        tunable = TunedEnsemble(EnsembleLearner(config.ensemble, config.fit.seed, options.jobs, augment=config.augmenting))
    else:
        check_metric(config)
        # Checkpoints of a trial are gone after it.
        config, learner = transformer_of(config)
        tunable = TunedTransformer(replace(learner, workspace=None, scratch=config.output.output_dir, show=False))
    space = default_space(tunable) if options.space is None else read_space(options.space, tunable)
    path = options.storage or config.output.output_dir / "study.db"
    require_trials(path)
    folder = start_run(given, alone="tune")
    about = {"recipe": config.recipe, **identity_of(_deciding(config), space, config.unused)}
    if path.is_file():
        # Before the table is read, which takes longer.
        _open(path, space, tunable, config).require(about)
    problem = read_problem(config)
    assert isinstance(problem, Problem)  # `check_columns` refuses several
    split = problem.study.split(config.samples, config.fit.seed, problem.labels)
    rows = np.sort(np.concatenate([split.train, split.val]))
    require_learnable(problem.parts, split if config.recipe == "transformer" else replace(split, train=rows, val=split.val[:0]))
    tunable.learner.check(problem, rows)
    write_split(problem.study, split, folder, config.output.resume)
    if config.objectives.is_taught:
        built = (Cache.of(config.caching), folder / "tree.nwk", config.output.resume)
        problem = problem.on(with_distances(problem.study, config.distances, *built))
    trials = _open(path, space, tunable, config)
    trials.require({**about, "training samples": key_of_samples(problem, rows)})
    seed = config.fit.seed
    try:
        found = search(problem, rows, tunable, trials, number=options.trials, seed=seed, seconds=options.seconds)
    except Stopped as stop:
        raise Stopped(stop.number, saved=True) from stop
    write_trials(found, folder / "trials.tsv")
    chosen = {name: value for name, value in found.chosen.values.items() if value != found.base[name]}
    write_config(folder / "best.yaml", _train_config(given, chosen), without=("output_dir",))
    if isinstance(tunable.learner, TransformerLearner):
        # As `aam train` does with best.yaml.
        tunable = TunedTransformer(replace(tunable.learner, validation=split.val))
    judgement = judge(problem, rows, split.test, tunable, found)
    write_json(folder / "metrics.json", {"recipe": config.recipe, **judgement.about()})
    write_page(judgement, facts_of_run(seed, shlex.join(["aam", *sys.argv[1:]])), folder / "tune.html")
    log.info("%s", judgement.sentence())
    log.info("wrote %s", folder / "tune.html")


def _open(path: Path, space: Any, tunable: TunedEnsemble | TunedTransformer, config: TuneConfig) -> Trials:
    base = {knob.name: tunable.base[knob.name] for knob in space}
    return Trials(path, space, base, higher=config.target.classifier)


def _deciding(config: TuneConfig) -> list[Options]:
    """The options that decide how trials are scored, but for the table; known before it is read."""
    learning = [config.ensemble, config.encoder, config.model, config.objectives, config.augmenting, config.fit, config.compute]
    return [config.reads, config.distances, config.samples, config.target, *learning]


def _train_config(config: TuneConfig, values: dict[str, Any]) -> TrainConfig:
    """The options of train, some of them changed."""
    parts = {field.name: getattr(config, field.name) for field in fields(TrainConfig)}
    made: dict[str, Any] = {name: changed(part, values) if is_dataclass(part) else part for name, part in parts.items()}
    return TrainConfig(**made)
