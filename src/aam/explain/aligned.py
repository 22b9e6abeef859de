"""Nucleotides over many ASVs, along their alignment: what one ASV says of a motif is little, what many say together is more."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from aam.ensemble.catalogue import letters_of
from aam.errors import InputError
from aam.explain.attributions import Importance
from aam.explain.logo import Logo, Telling, logo_of, nearest, telling
from aam.explain.nucleotides import Sequences, by_position_of, samples_with
from aam.explain.summary import ranked
from aam.progress import track
from aam.study.study import Study

# ASVs of the logo; of those whose letters are compared, the least and the largest number.
_RELATED, _LEAST, _COMPARED = 8, 20, 300
# Times that effects are exchanged among ASVs, to know what chance tells.
_EXCHANGES = 20

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Aligned:
    """related: int64, columns of the table, the ASV that matters most and those nearest to it; logo: of these; compared: int64,
    columns of the ASVs that most samples have; told: how far their letters tell what they add to predictions, or None where they
    are too few; chance: the share that the best column tells where effects are exchanged among ASVs at random, mean over 20
    exchanges; name: of the output.
    """

    related: np.ndarray
    logo: Logo
    compared: np.ndarray
    told: Telling | None
    chance: float
    name: str


def aligned(
    model: Sequences, importance: Importance, study: Study, rows: np.ndarray, seed: int = 0, *, show: str = ""
) -> Aligned | None:
    """Along the alignment of the ASVs in the samples `rows` of a study, on the output on which the first of them acts most. None,
    and a line in the log, where an alignment is needed that cannot be made (the extra ``tree``). show: what a progress bar says.
    """
    first = int(ranked(importance)[0])
    output, present = int(importance.spread[first].argmax()), np.flatnonzero(importance.samples > 0)
    related = nearest(model.vectors, first, present, _RELATED)
    compared = present[np.argsort(-importance.samples[present], kind="stable")[:_COMPARED]]
    try:
        logo = logo_of(
            [
                by_position_of(model, asv, study.asv_tokens[asv], samples_with(model.counts, asv, rows), output)
                for asv in track(related.tolist(), show, len(related))
            ]
        )
        told, chance = None, np.nan
        if len(compared) >= _LEAST:
            effects, weights = importance.mean[compared, output], importance.samples[compared].astype(np.float64)
            told = telling(letters_of(study.asv_tokens[compared]), effects, weights)
            chance = _by_chance(told, effects, weights, seed)
    except InputError as error:
        log.warning("nothing along an alignment is shown: %s", error)
        return None
    return Aligned(related, logo, compared, told, chance, importance.output_names[output])


def _by_chance(told: Telling, effects: np.ndarray, weights: np.ndarray, seed: int) -> float:
    """What the best column tells of effects that are others'."""
    rng = np.random.default_rng(seed)
    # Of aligned sequences, which are as long as each other, no other alignment is made.
    return float(np.mean([telling(told.rows, rng.permutation(effects), weights).share.max() for _ in range(_EXCHANGES)]))
