"""The run of ``aam evaluate``: read, fold, fit and predict in each fold, report."""

from __future__ import annotations

import logging
import shlex
import sys

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
from aam.evaluation.questions import read_question
from aam.evaluation.report import Report, write_report
from aam.evaluation.results import facts_of, facts_of_run, write_folds, write_predictions
from aam.evaluation.robustness import robustness_of
from aam.evaluation.run import folds_of, key_of_run, members_of, run_folds
from aam.options import ExplainOptions
from aam.study.folds import require_learnable
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
    # Transformers need sequences.
    by_id = False if config.contest.transformers else None
    tree = folder / "tree.nwk"
    cache = Cache.of(config.caching)
    problem, learned = read_question(config.question, seed, cache, tree=tree, resume=config.output.resume, by_id=by_id)
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
