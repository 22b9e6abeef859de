"""Whether augmentation helps: predictions with and without it, of samples that no model learned from, compared on whole groups."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aam.options import AugmentOptions
from aam.scoring.measures import Measure
from aam.scoring.resampling import interval, resampled, with_replacement
from aam.scoring.weighted import WEIGHTED

log = logging.getLogger(__name__)

# Draws of groups, and the chance to choose one of several that do not help.
_DRAWS, _CHANCE = 2000, 0.05


@dataclass(frozen=True)
class AugmentChoice:
    """The augmentation that a fit used, None for none; compared: by candidate the gain over none (`Measure.gain`) with its
    interval, where it was chosen by inner folds.
    """

    chosen: str | None
    compared: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)

    @property
    def options(self) -> AugmentOptions:
        """As options."""
        return AugmentOptions(augment=self.chosen)

    def about(self) -> dict[str, Any]:
        """As metrics.json holds it."""
        return {"augment": self.chosen, "gain_low_high": {name: list(gain) for name, gain in self.compared.items()}}


def choose_augmentation(
    truth: np.ndarray, plain: np.ndarray, candidates: Mapping[str, np.ndarray], units: np.ndarray, measure: Measure
) -> AugmentChoice:
    """The candidate with the largest gain over `plain` among those whose paired interval over resampled groups is above 0.

    truth [n]; plain and candidates: predictions of the same samples, by models that did not learn from their groups; units: group
    of each sample. Intervals are of 95 %, of all candidates together (Bonferroni). Logs what was chosen, and why.
    """
    compared = {name: _gain(truth, plain, said, units, measure, _CHANCE / len(candidates)) for name, said in candidates.items()}
    helpful = {name: gain for name, (gain, low, _) in compared.items() if low > 0}
    chosen = max(helpful, key=lambda name: helpful[name]) if helpful else None
    told = "; ".join(
        f"{name} {measure.signed(gain)} ({measure.between(low, high)})" for name, (gain, low, high) in compared.items()
    )
    log.info("augmentation: %s, by the gain in inner folds over none, with its interval over groups: %s", chosen or "none", told)
    return AugmentChoice(chosen, compared)


def _gain(
    truth: np.ndarray, plain: np.ndarray, said: np.ndarray, units: np.ndarray, measure: Measure, chance: float
) -> tuple[float, float, float]:
    """Gain, and its interval over groups that are drawn with replacement."""
    score = WEIGHTED[measure.key]

    def gains(weights: np.ndarray) -> np.ndarray:
        return measure.gain(score(truth, said, weights), score(truth, plain, weights))

    low, high = interval(resampled(units, gains, with_replacement, _DRAWS), chance)
    return float(gains(np.ones((1, len(truth))))[0]), float(low), float(high)
