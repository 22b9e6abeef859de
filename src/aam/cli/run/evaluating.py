"""The run of ``aam evaluate``: read, fold, fit and predict in each fold, report."""

from __future__ import annotations

import logging
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from aam.cli.configs import EvaluateConfig
from aam.cli.run.folder import start_run
from aam.cli.spelling import spell
from aam.compute import check_compute
from aam.disk.cache import Cache
from aam.errors import InputError
from aam.evaluation.contestants import (
    TransformerSettings,
    check_contestants,
    contestants_of,
    first_of_ours,
    headline_of,
    simple_of,
)
from aam.evaluation.explained import explain_folds
from aam.evaluation.findings import findings_of
from aam.evaluation.kept import KeptFolds
from aam.evaluation.pretrained import recovery_of
from aam.evaluation.report import Report, write_report
from aam.evaluation.results import facts_of, facts_of_run, write_folds, write_predictions
from aam.evaluation.robustness import robustness_of
from aam.evaluation.run import folds_of, key_of_run, members_of, run_folds
from aam.options import ExplainOptions
from aam.study.folds import require_learnable
from aam.study.problem import Problem, pose
from aam.study.reading import join, read_samples
from aam.study.tree import on_given_distances, with_distances
from aam.tracking.tracked import Tracked, tracked_run

log = logging.getLogger(__name__)


def run_evaluation(config: EvaluateConfig) -> None:
    """Evaluate all models on the same folds, and write the report."""
    check_compute(config.compute)
    with tracked_run(config.tracking.track, config.output.output_dir) as tracked:
        evaluate_models(config, tracked)


def evaluate_models(config: EvaluateConfig, tracked: Tracked) -> None:
    """The same, told to trackers."""
    folder, seed = start_run(config, alone="evaluate", tracked=tracked), config.fit.seed
    log.info("evaluating %s", "baselines" if config.contest.only_baselines else "AAM and baselines")
    problem, learned = read_problem(config, folder)
    folds = folds_of(problem, config.folding, seed, learned)
    require_learnable(problem, folds, seed)
    settings = TransformerSettings(
        model=config.model,
        objectives=config.objectives,
        fit=config.fit,
        compute=config.compute,
        pretraining=config.pretraining,
        val_fraction=config.samples.val_fraction,
        scratch=folder,
        augment=config.augmenting,
    )
    contestants = contestants_of(
        problem, config.contest, seed, ensemble=config.ensemble, transformers=settings, augment=config.augmenting
    )
    check_contestants(problem, contestants, folds)
    write_folds(problem, folds, folder / "folds.tsv")
    models = (config.contest, config.ensemble, config.model, config.objectives, config.fit, config.pretraining)
    about = (config.reads, config.samples.val_fraction, config.distances.unifrac_metric, config.distances.alpha)
    # As without the option, where it is not given.
    changed = (config.augmenting,) if config.augmenting.augment else ()
    key = key_of_run(problem, folds, *about, *models, *changed)
    kept = KeptFolds(folder / "folds", key)
    ours = first_of_ours(contestants)
    explained = ours if config.explaining.explain else None
    outcome, failed = run_folds(problem, contestants, folds, kept, ours if config.testing.robustness else explained)
    outcome, recovered = recovery_of(outcome)
    write_predictions(outcome, folder / "predictions.tsv")
    facts = facts_of(
        problem,
        config.folding,
        table=config.data.table.name,
        group_column=config.samples.group_column,
        pretraining=config.pretraining if config.contest.transformers else None,
        recovered=recovered,
        run=facts_of_run(seed, shlex.join(["aam", *sys.argv[1:]])),
    )
    findings = [*map(spell, failed), *findings_of(outcome, config.folding.confounder_column)]
    headline = headline_of(outcome)
    members = members_of(problem, contestants, outcome, headline, kept)
    explanation = None
    if explained is not None and explained == headline:
        try:
            explanation = explain_folds(problem, folds, kept, explain_options(config))
            explanation.write(folder, {"model": f"{headline}, fitted in each fold", **facts})
        except InputError as error:
            findings.append(f"Not explained: {error}")
    falls = robustness_of(problem, folds, contestants, headline, kept, seed) if config.testing.robustness else []
    simple = simple_of(contestants, outcome)
    write_report(Report(facts, outcome, simple, findings, headline, members, explanation, falls), folder)
    log.info("wrote %s", folder / "index.html")


def explain_options(config: EvaluateConfig) -> ExplainOptions:
    """How held-out samples are explained."""
    return ExplainOptions(
        max_samples=config.explaining.max_explained,
        group_column=config.samples.group_column,
        confounder_column=config.folding.confounder_column,
        seed=config.fit.seed,
    )


def read_problem(config: EvaluateConfig, folder: Path) -> tuple[Problem, int]:
    """The problem, with the samples of `test_table` behind those of `table`; and how many samples `table` has."""
    options, confounder = config.folding, config.folding.confounder_column
    # Transformers need sequences.
    how: dict[str, Any] = {"confounder_column": confounder, "by_id": False if config.contest.transformers else None}
    study = read_samples(config.data, config.reads, config.samples, config.target, **how)
    learned = study.table.sample_ids
    if options.test_table is not None:
        data = replace(config.data, table=options.test_table, more_tables=(), rep_seqs=options.test_rep_seqs)
        samples = replace(config.samples, metadata=options.test_metadata or config.samples.metadata)
        study = join(study, read_samples(data, config.reads, samples, config.target, **how))
    # All models see the same reads.
    study = study.drawn(config.fit.seed)
    cache = Cache.of(config.caching)
    study = on_given_distances(study, config.distances, cache, ignore_missing=config.data.ignore_missing)
    posed = pose(study, config.target, config.samples.group_column, confounder)
    if study.sequences is not None:
        # What cannot be predicted has been said: a tree takes long to build.
        posed = posed.on(with_distances(study, config.distances, cache, folder / "tree.nwk", config.output.resume))
    return posed, len(set(learned) & set(study.table.sample_ids))
