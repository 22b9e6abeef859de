"""How much each member counts, and what they say together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import softmax

from aam.ensemble.calibration import Calibration, Stretch
from aam.ensemble.members import MemberName
from aam.scoring.measures import Measure
from aam.scoring.weighted import WEIGHTED

# Parts of the groups that a combination is cross-fitted on.
_PARTS = 5
# Least probability that counts.
_SAYABLE = 1e-3
# Draws of groups; how far behind the best, in standard errors, counts e^-1/2 as much; and a weight that is not worth its time.
_DRAWS, _DOUBT, _LEAST = 400, 2.5, 0.01


@dataclass(frozen=True)
class Weighing:
    """How much members count, by name, adding up to 1, and why.

    scores: of each, on samples that it did not learn from, by the measure that models are compared by; behind: by how many standard
    errors each is worse than the best one, over resampled groups; useless: those that are no better than the trivial prediction.
    """

    weights: Mapping[MemberName, float]
    scores: Mapping[MemberName, float]
    behind: Mapping[MemberName, float]
    useless: tuple[MemberName, ...]

    @property
    def best(self) -> MemberName:
        """The one that is best by itself."""
        return min(self.behind, key=lambda name: (self.behind[name], name in self.useless))

    def sentence(self, labels: Mapping[str, str], measure: Measure) -> str:
        """How much each counts and why, in words; labels: what people call the members."""
        order = sorted(self.weights, key=lambda name: -self.weights[name])
        counted = ", ".join(f"{labels[name]} {self.weights[name]:.2f}" for name in order if self.weights[name] > 0)
        best, alike = self.best, [name for name in order if self.weights[name] > 0]
        text = f"weights: {counted}; best by itself in cross-fitting: {labels[best]} ({measure.label} {self.scores[best]:.3g})"
        behind = [f"{labels[name]} by {self.behind[name]:.1f}" for name in reversed(alike) if self.behind[name] > 1]
        if behind:
            text += f"; behind it, in standard errors over resampled groups: {', '.join(behind)}"
        if left := [labels[name] for name in order if self.weights[name] == 0 and name not in self.useless]:
            text += f"; too far behind to count: {', '.join(left)}"
        if self.useless:
            text += f"; no better than the trivial prediction: {', '.join(labels[name] for name in self.useless)}"
        return text


def choose_weights(
    truth: np.ndarray, judged: Mapping[MemberName, np.ndarray], trivial: np.ndarray, units: np.ndarray, measure: Measure
) -> Weighing:
    """Weigh members by what each said of samples [n] that it did not learn from.

    trivial: what one would say without any microbes; units: the group of each sample, as an id from 0. Groups are resampled, and
    all members are scored on the same draws. A member that is t standard errors behind the best one counts exp(-(t / 2.5)^2 / 2)
    as much: those that the groups cannot tell from the best count alike, and one that is clearly behind does not count. Members
    that are no better than the trivial prediction do not count, unless none is.
    """
    score, sign = WEIGHTED[measure.key], 1 if measure.higher_is_better else -1
    drawn = np.random.default_rng(0).exponential(size=(_DRAWS, int(units.max()) + 1))[:, units]
    once = np.ones((1, len(truth)))
    scores = {name: sign * float(score(truth, said, once)[0]) for name, said in judged.items()}
    resampled = {name: sign * score(truth, said, drawn) for name, said in judged.items()}
    least = sign * float(score(truth, trivial, once)[0])
    useful = [name for name in judged if scores[name] > least]
    best = max(useful or judged, key=lambda name: scores[name])
    behind = {name: _behind(resampled[best] - resampled[name]) for name in judged}
    counted = {name: math.exp(-(behind[name] ** 2) / (2 * _DOUBT**2)) * (name in useful or not useful) for name in judged}
    total = sum(counted.values())
    weights = {name: value / total if value / total >= _LEAST else 0.0 for name, value in counted.items()}
    kept = sum(weights.values())
    return Weighing(
        {name: weight / kept for name, weight in weights.items()},
        {name: sign * value for name, value in scores.items()},
        behind,
        tuple(name for name in judged if useful and name not in useful),
    )


def _behind(differences: np.ndarray) -> float:
    """Mean of resampled differences over their standard deviation; 0 for the best one."""
    spread = float(np.nanstd(differences))
    return max(float(np.nanmean(differences)), 0.0) / spread if spread > 0 else 0.0


@dataclass(frozen=True)
class Combination:
    """What makes one prediction of those of members, by name: the mean by their weights, and what makes that true (`overall`).

    calibrations: of each member, of models of version 0.1.0: what they say is calibrated before its mean is taken, and not the
    mean of logarithms.
    """

    weights: Mapping[MemberName, float]
    overall: Calibration | Stretch | None = None
    calibrations: Mapping[MemberName, Calibration] = field(default_factory=dict)

    @classmethod
    def fit(cls, truth: np.ndarray, judged: Mapping[MemberName, np.ndarray], weights: Mapping[MemberName, float]) -> Combination:
        """Fit to what members said of samples of known truth that they did not learn from."""
        mean = cls(weights).of(judged)
        return cls(weights, Stretch.fit(truth, mean) if mean.ndim == 1 else Calibration.fit(truth, mean))

    def cross_fitted(self, truth: np.ndarray, judged: Mapping[MemberName, np.ndarray], units: np.ndarray) -> np.ndarray:
        """What it says of the samples that it was fitted to, `overall` being fitted to other groups; units: ids of the groups."""
        mean = replace(self, overall=None).of(judged)
        found, part = self.of(judged), units % _PARTS
        for number in np.unique(part) if len(np.unique(part)) > 1 else ():
            held = part == number
            kept = type(self).fit(truth[~held], {name: said[~held] for name, said in judged.items()}, self.weights).overall
            found[held] = mean[held] if kept is None else kept.apply(mean[held])
        return found

    def of(self, said: Mapping[MemberName, np.ndarray]) -> np.ndarray:
        """One prediction of what members say: training units [n], or class probabilities [n, K]."""
        counted = {name: weight for name, weight in self.weights.items() if weight > 0}
        of = (lambda part: part) if self.calibrations else _log
        mean = np.sum([weight * of(said[name]) for name, weight in counted.items()], axis=0)
        if mean.ndim == 2 and not self.calibrations:
            mean = softmax(mean, axis=1)
        return np.asarray(mean if self.overall is None else self.overall.apply(mean))


def _log(said: np.ndarray) -> np.ndarray:
    """Logarithms of probabilities; a member of a few hundred trees cannot tell less than one in a thousand from none."""
    return said if said.ndim == 1 else np.log(said.clip(_SAYABLE, 1))
