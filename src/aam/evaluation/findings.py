"""What the reader of an evaluation must know before believing a score."""

from __future__ import annotations

from aam.evaluation import checks
from aam.evaluation.compare import Outcome, best_of, mean_score
from aam.learners.baselines import level_name


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
    return [finding for finding in found if finding is not None]


def _confounded(outcome: Outcome, column: str) -> str | None:
    target = outcome.problem.target
    by_level, trivial = level_name(target), target.trivial_name
    if not {by_level, trivial} <= outcome.predictions.keys():
        return None
    best = best_of(outcome, [name for name in outcome.predictions if name != by_level])
    scores = [mean_score(outcome, name) for name in (best, by_level, trivial)]
    return checks.explained_by_confounder(column, target.measure, *scores)
