"""How much each member counts, and what they say together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from scipy.special import softmax

from aam.ensemble.calibration import Calibration, Stretch
from aam.ensemble.members import MemberName
from aam.scoring.measures import AUC, Measure
from aam.scoring.resampling import bayesian, resampled
from aam.scoring.weighted import WEIGHTED

# Parts of the groups that a combination is cross-fitted on.
_PARTS = 5
# Least probability that counts: a member of a few hundred trees cannot tell less than one in a thousand from none.
SAYABLE = 1e-3
# Draws of groups, and a weight that is not worth its time.
_DRAWS, _LEAST = 400, 0.01
# How far behind the best, in standard errors, counts e^-1/2 as much; and how far for weights that follow the evidence sharply.
_DOUBT, _SHARP = 2.5, 1.0
# The share of the weight that counts where the mean does not.
_MIDDLE = 1 / 3


@dataclass(frozen=True)
class Weighing:
    """How much members count, by name, adding up to 1, and why.

    scores: of each, on samples that it did not learn from, by the measure that models are compared by; behind: by how many standard
    errors each is worse than the best one, over resampled groups; useless: those that are no better than the trivial prediction;
    middle: the share of the weight that counts (see `Combination`); told: whether members told the classes apart at all.
    """

    weights: Mapping[MemberName, float]
    scores: Mapping[MemberName, float]
    behind: Mapping[MemberName, float]
    useless: tuple[MemberName, ...]
    middle: float = 1.0
    told: bool = True

    def at(self, doubt: float, middle: float = 1.0) -> Weighing:
        """The same with a member counting e^-1/2 as much that is `doubt` standard errors behind the best one."""
        counted = {name: math.exp(-((t / doubt) ** 2) / 2) * (name not in self.useless) for name, t in self.behind.items()}
        total = sum(counted.values())
        weights = {name: value / total if value / total >= _LEAST else 0.0 for name, value in counted.items()}
        kept = sum(weights.values())
        return replace(self, weights={name: weight / kept for name, weight in weights.items()}, middle=middle)

    @property
    def best(self) -> MemberName:
        """The one that is best by itself."""
        return min(self.behind, key=lambda name: (self.behind[name], name in self.useless))

    def sentence(self, labels: Mapping[str, str], measure: Measure) -> str:
        """How much each counts and why, in words; labels: what people call the members."""
        order = sorted(self.weights, key=lambda name: -self.weights[name])
        counted = ", ".join(f"{labels[name]} {self.weights[name]:.2f}" for name in order if self.weights[name] > 0)
        if self.middle < 1:
            counted += " (of what they say, sorted, the middle third of the weight counts)"
        best, alike = self.best, [name for name in order if self.weights[name] > 0]
        text = f"weights: {counted}; best by itself in cross-fitting: {labels[best]} ({measure.label} {self.scores[best]:.3g})"
        behind = [f"{labels[name]} by {self.behind[name]:.1f}" for name in reversed(alike) if self.behind[name] > 1]
        if behind:
            text += f"; behind it, in standard errors over resampled groups: {', '.join(behind)}"
        if left := [labels[name] for name in order if self.weights[name] == 0 and name not in self.useless]:
            text += f"; too far behind to count: {', '.join(left)}"
        if self.useless:
            text += f"; no better than the trivial prediction: {', '.join(labels[name] for name in self.useless)}"
        return text if self.told else f"nothing told the classes apart in cross-fitting: their shares are said; {text}"


def choose_weights(
    truth: np.ndarray, judged: Mapping[MemberName, np.ndarray], trivial: np.ndarray, units: np.ndarray, measure: Measure
) -> Weighing:
    """Weigh members by what each said of samples [n] that it did not learn from.

    trivial: what one would say without any microbes; units: the group of each sample, as an id from 0. Groups are resampled, and
    all members are scored on the same draws. A member that is t standard errors behind the best one counts exp(-(t / 2.5)^2 / 2)
    as much (see `Weighing.at`): those that the groups cannot tell from the best count alike, and one that is clearly behind does
    not count. Members that are no better than the trivial prediction do not count, unless none is.
    """
    score, sign = WEIGHTED[measure.key], 1 if measure.higher_is_better else -1

    def of_all(weights: np.ndarray) -> np.ndarray:
        return np.stack([sign * score(truth, said, weights) for said in judged.values()], axis=1)

    once = np.ones((1, len(truth)))
    scores = {name: sign * float(score(truth, said, once)[0]) for name, said in judged.items()}
    drawn = dict(zip(judged, resampled(units, of_all, bayesian, _DRAWS).T, strict=True))
    least = sign * float(score(truth, trivial, once)[0])
    useful = [name for name in judged if scores[name] > least]
    best = max(useful or judged, key=lambda name: scores[name])
    behind = {name: _behind(drawn[best] - drawn[name]) for name in judged}
    useless = tuple(name for name in judged if useful and name not in useful)
    return Weighing({}, {name: sign * value for name, value in scores.items()}, behind, useless).at(_DOUBT)


def _tells(truth: np.ndarray, probabilities: np.ndarray, units: np.ndarray) -> bool:
    """Whether probabilities [n, K] rank samples of known class better than chance does, by two standard errors over groups."""
    scores = resampled(units, partial(WEIGHTED[AUC.key], truth, probabilities), bayesian, _DRAWS)
    return float(np.nanmean(scores) - 0.5) > 2 * float(np.nanstd(scores))


def _behind(differences: np.ndarray) -> float:
    """Mean of resampled differences over their standard deviation; 0 for the best one."""
    spread = float(np.nanstd(differences))
    return max(float(np.nanmean(differences)), 0.0) / spread if spread > 0 else 0.0


@dataclass(frozen=True)
class Combination:
    """What makes one prediction of those of members, by name: the mean by their weights, and what makes that true (`overall`).

    middle: of what members say of a number, sorted, the share of the weight in the middle that counts: with a third, one member
    that says something else changes little, and a number that comes in steps keeps them. calibrations: of each member, of models of
    version 0.1.0: what they say is calibrated before its mean is taken, and not the mean of logarithms.
    """

    weights: Mapping[MemberName, float]
    overall: Calibration | Stretch | None = None
    calibrations: Mapping[MemberName, Calibration] = field(default_factory=dict)
    middle: float = 1.0

    @classmethod
    def choose(
        cls, truth: np.ndarray, judged: Mapping[MemberName, np.ndarray], weighing: Weighing, units: np.ndarray
    ) -> tuple[Combination, Weighing]:
        """The one that suits what members said of samples of known truth that they did not learn from; with its weights, and why.

        units: the group of each sample, as an id from 0. Of numbers, weights may follow the evidence sharply, and the middle may
        count instead of the mean, where that errs less by a standard error over resampled groups. Of classes, the shares of the
        classes are said where the AUC is not above 0.5 by two standard errors: ranks of nothing may be worse than none.
        """
        if next(iter(judged.values())).ndim > 1:
            fitted = cls.fit(truth, judged, weighing.weights)
            if not _tells(truth, fitted.of(judged), units):
                fitted = replace(fitted, overall=Calibration.shares(truth, next(iter(judged.values())).shape[1]))
                weighing = replace(weighing, told=False)
            return fitted, weighing
        weighings = [weighing, weighing.at(_DOUBT, _MIDDLE), weighing.at(_SHARP), weighing.at(_SHARP, _MIDDLE)]
        found = [cls.fit(truth, judged, some.weights, some.middle) for some in weighings]
        errors = np.stack([np.abs(some.of(judged) - truth) for some in found])
        means = resampled(units, lambda drawn: drawn @ errors.T / drawn.sum(axis=1, keepdims=True), bayesian, _DRAWS)
        gains = means[:, :1] - means
        better = gains.mean(axis=0) > gains.std(axis=0)
        chosen = int(np.argmax(np.where(better, gains.mean(axis=0), 0.0)))
        return found[chosen], weighings[chosen]

    @classmethod
    def fit(
        cls,
        truth: np.ndarray,
        judged: Mapping[MemberName, np.ndarray],
        weights: Mapping[MemberName, float],
        middle: float = 1.0,
    ) -> Combination:
        """The one with these weights."""
        plain = cls(weights, middle=middle)
        mean = plain.of(judged)
        return replace(plain, overall=Stretch.fit(truth, mean) if mean.ndim == 1 else Calibration.fit(truth, mean))

    @property
    def says_shares(self) -> bool:
        """Whether the shares of classes are all that it says."""
        return isinstance(self.overall, Calibration) and self.overall.power == 0

    def cross_fitted(self, truth: np.ndarray, judged: Mapping[MemberName, np.ndarray], units: np.ndarray) -> np.ndarray:
        """What it says of the samples that it was fitted to, `overall` being fitted to other groups; units: ids of the groups."""
        mean = replace(self, overall=None).of(judged)
        found, part = self.of(judged), units % _PARTS
        for number in np.unique(part) if len(np.unique(part)) > 1 else ():
            held = part == number
            if self.says_shares:
                found[held] = Calibration.shares(truth[~held], found.shape[1]).apply(mean[held])
                continue
            kept = (
                type(self)
                .fit(truth[~held], {name: said[~held] for name, said in judged.items()}, self.weights, self.middle)
                .overall
            )
            found[held] = mean[held] if kept is None else kept.apply(mean[held])
        return found

    def of(self, said: Mapping[MemberName, np.ndarray]) -> np.ndarray:
        """One prediction of what members say: training units [n], or class probabilities [n, K]."""
        counted = {name: weight for name, weight in self.weights.items() if weight > 0}
        parts, weights = np.stack([said[name] for name in counted]), np.array(list(counted.values()))
        if parts.ndim == 2:
            mean = _middle_mean(parts, weights, self.middle)
        elif self.calibrations:
            mean = np.tensordot(weights, parts, axes=1)
        else:
            mean = softmax(np.tensordot(weights, np.log(parts.clip(SAYABLE, 1)), axes=1), axis=1)
        return np.asarray(mean if self.overall is None else self.overall.apply(mean))


def _middle_mean(parts: np.ndarray, weights: np.ndarray, middle: float) -> np.ndarray:
    """Of numbers [E, n], sorted for each sample, the mean of those that the share `middle` of their weights [E], which add up to 1,
    lies on: [n].
    """
    if middle == 1:
        return weights @ parts
    order = np.argsort(parts, axis=0)
    upper = weights[order].cumsum(axis=0)
    lower = upper - weights[order]
    least, most = (1 - middle) / 2, (1 + middle) / 2
    counted = (np.minimum(upper, most) - np.maximum(lower, least)).clip(min=0)
    return (np.take_along_axis(parts, order, axis=0) * counted).sum(axis=0) / counted.sum(axis=0)
