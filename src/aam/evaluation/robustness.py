"""How fast scores fall where held-out samples are made worse: fewer reads, contamination, sequencing errors."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from aam.augment.contamination import contaminated
from aam.augment.dropout import dropped
from aam.augment.reverse import turned
from aam.augment.sample import Context, Sample
from aam.augment.substitutions import substituted
from aam.augment.thinning import thinned
from aam.evaluation.compare import Outcome, mean_score, resampled_scores
from aam.evaluation.kept import KeptFolds
from aam.learners.learner import Learner
from aam.progress import track
from aam.saved.fitted import Fitted
from aam.saved.load import load
from aam.scoring.resampling import interval
from aam.study.changed import of_changed
from aam.study.folds import Fold, posed_within
from aam.study.problem import Problem
from aam.study.study import Study

# The simple model beside ours.
FOREST = "random forest"
# Tells the draws of perturbations from those of rarefaction and of augmentation, which have the same seed.
_STREAM = 2


def _thin(sample: Sample, level: float, rng: np.random.Generator, context: Context) -> Sample:
    return thinned(sample, level, rng)


def _drop(sample: Sample, level: float, rng: np.random.Generator, context: Context) -> Sample:
    return dropped(sample, level, rng)


def _contaminate(sample: Sample, level: float, rng: np.random.Generator, context: Context) -> Sample:
    partner = context.partner(sample, rng)
    return sample if partner is None else contaminated(sample, level, rng, *context.read(partner))


def _turn(sample: Sample, level: float, rng: np.random.Generator, context: Context) -> Sample:
    return turned(sample, context)


@dataclass(frozen=True)
class Perturbation:
    """What is done to held-out samples, and by how much."""

    name: str
    levels: tuple[float, ...]
    change: Callable[[Sample, float, np.random.Generator, Context], Sample]
    changes_sequences: bool = False


PERTURBATIONS = (
    Perturbation("reads left out", (0.1, 0.25, 0.5, 0.75, 0.9), _thin),
    Perturbation("ASVs left out", (0.1, 0.25, 0.5, 0.75), _drop),
    Perturbation("contamination", (0.01, 0.05, 0.1, 0.25), _contaminate),
    Perturbation("nucleotide errors", (0.001, 0.005, 0.01), substituted, changes_sequences=True),
    Perturbation("reverse complement", (1.0,), _turn, changes_sequences=True),
)


@dataclass(frozen=True)
class Fall:
    """The score of a model at a level of a perturbation, 0 for samples as they are; change: its gain over the score at 0
    (`Measure.gain`, negative where it is worse), with the 95 % interval over resampled groups.
    """

    perturbation: str
    level: float
    model: str
    score: float
    change: float
    change_low: float
    change_high: float


def perturbations_of(study: Study) -> tuple[Perturbation, ...]:
    """Those that can be done to the samples of a study: of features without sequences there are fewer."""
    return tuple(one for one in PERTURBATIONS if study.sequences is not None or not one.changes_sequences)


def perturbed(problem: Problem, fold: Fold, perturbation: Perturbation, level: float, seed: int) -> Study:
    """The held-out samples of a fold, in its order, at a level of a perturbation; what contaminates them is of training samples.

    Seeded by sample ID, alike for all levels.
    """
    study, counts = problem.study, problem.study.counts

    def read(row: int) -> tuple[np.ndarray, np.ndarray]:
        there = slice(*counts.indptr[row : row + 2])
        return counts.indices[there], counts.data[there]

    ids = study.table.sample_ids
    context = Context(np.array(sorted(fold.train, key=lambda row: ids[row]), dtype=np.int64), read, study.asv_tokens)
    made = []
    for row in fold.test.tolist():
        rng = np.random.default_rng((seed, zlib.crc32(ids[row].encode()), zlib.crc32(perturbation.name.encode()), _STREAM))
        made.append(perturbation.change(Sample.of(row, *read(row)), level, rng, context))
    return of_changed(study, made, study.ids(fold.test))


def robustness_of(
    problem: Problem, folds: Sequence[Fold], contestants: Mapping[str, Learner[Any]], ours: str | None, kept: KeptFolds, seed: int
) -> list[Fall]:
    """Score the model `ours`, kept in each fold, and the forest on perturbed held-out samples of the first repeat."""
    first = [fold for fold in folds if fold.repeat == 0]
    posed = posed_within(problem, first)
    models = [name for name in (ours, FOREST) if name is not None and name in contestants]
    grades = [(one, level) for one in perturbations_of(problem.study) for level in one.levels]
    said: dict[str, list[np.ndarray]] = {name: [] for name in models}
    work = [(fold, view, name) for fold, view in zip(first, posed, strict=True) for name in models]
    for fold, view, name in track(work, "Testing robustness", len(work)):

        def fit(fold: Fold = fold, view: Problem = view, name: str = name) -> Fitted:
            return load(kept.model(fold)) if name == ours else contestants[name].fit(view, fold.train)

        predict = partial(_predictions, problem, fold, fit, grades, seed)
        said[name].append(kept.get(fold, f"{name}, robustness", predict))
    return [fall for name in models for fall in _falls(problem, first, name, said[name], grades)]


def _predictions(
    problem: Problem, fold: Fold, fit: Callable[[], Fitted], grades: Sequence[tuple[Perturbation, float]], seed: int
) -> np.ndarray:
    """What a model says of the held-out samples as they are, and at every grade: [1 + grades, n] or [1 + grades, n, K]."""
    fitted = fit()
    said = [fitted.predict(problem.study, fold.test)]
    for perturbation, level in grades:
        study = perturbed(problem, fold, perturbation, level, seed)
        said.append(fitted.predict(study, study.rows))
    return np.stack(said)


def _falls(
    problem: Problem, folds: Sequence[Fold], model: str, said: Sequence[np.ndarray], grades: Sequence[tuple[Perturbation, float]]
) -> list[Fall]:
    """said: of each fold, as `_predictions` has it."""
    outcomes = [Outcome(problem, folds, {model: [part[number] for part in said]}) for number in range(1 + len(grades))]
    scores = [mean_score(outcome, model) for outcome in outcomes]
    drawn = [resampled_scores(outcome, model) for outcome in outcomes]
    gain = problem.target.measure.gain
    found = []
    for name in dict.fromkeys(perturbation.name for perturbation, _ in grades):
        places = [0, *(1 + number for number, (perturbation, _) in enumerate(grades) if perturbation.name == name)]
        for place in places:
            level = 0.0 if place == 0 else grades[place - 1][1]
            changes = gain(drawn[place], drawn[0])
            low, high = interval(changes)
            change = float(gain(scores[place], scores[0]))
            found.append(Fall(name, level, model, scores[place], change, float(low), float(high)))
    return found


def falls_table(falls: Sequence[Fall], measure: str) -> pd.DataFrame:
    """As robustness.tsv holds them; measure: what the column of scores is called."""
    return pd.DataFrame([asdict(fall) for fall in falls]).rename(columns={"score": measure})
