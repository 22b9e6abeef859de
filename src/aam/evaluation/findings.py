"""What the reader of an evaluation must know before believing a score."""

from __future__ import annotations

from aam.evaluation import checks
from aam.evaluation.compare import Outcome, best_of, mean_score, resampled_scores
from aam.evaluation.contestants import first_of_ours
from aam.learners.baselines import COVARIATES, level_name
from aam.scoring.resampling import interval


def findings_of(outcome: Outcome, confounder_column: str | None = None) -> list[str]:
    """All findings about an outcome, each a sentence or two; confounder_column: name of the confounder's column."""
    problem, folds = outcome.problem, outcome.folds
    found = [
        checks.no_sequences(problem),
        checks.near_duplicates(problem, folds),
        checks.words_for_missing(problem),
        checks.small_classes(problem),
        checks.few_groups(problem, folds),
        checks.one_group_learned(problem, folds),
        checks.other_asvs(problem, folds),
        checks.shared_groups(problem, folds),
    ]
    if problem.groups is None and (metadata := problem.study.full_metadata) is not None:
        found.append(checks.ungrouped_columns(metadata, problem.column))
    if confounder_column is not None:
        found.append(_confounded(outcome, confounder_column))
    found.append(_beside_covariates(outcome))
    return [finding for finding in found if finding is not None]


def _beside_covariates(outcome: Outcome) -> str | None:
    """What the microbes add to the covariates; None without covariates."""
    ours = first_of_ours(outcome.predictions)
    if COVARIATES not in outcome.predictions or ours is None:
        return None
    measure, names = outcome.measure, ", ".join(outcome.problem.covariates.columns)
    scores = [mean_score(outcome, name) for name in (ours, COVARIATES)]
    gain = float(measure.gain(*scores))
    between = measure.between(*interval(measure.gain(*(resampled_scores(outcome, name) for name in (ours, COVARIATES)))))
    return (
        f"Covariates ({names}) alone have {measure.label} {scores[1]:.3g}; with the microbes the {ours} has {scores[0]:.3g}: the "
        f"microbes add {measure.signed(gain)} (95 % interval {between})."
    )


def _confounded(outcome: Outcome, column: str) -> str | None:
    target = outcome.problem.target
    by_level, trivial = level_name(target), target.trivial_name
    if not {by_level, trivial} <= outcome.predictions.keys():
        return None
    best = best_of(outcome, [name for name in outcome.predictions if name != by_level])
    scores = [mean_score(outcome, name) for name in (best, by_level, trivial)]
    return checks.explained_by_confounder(column, target.measure, *scores)
