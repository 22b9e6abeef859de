"""Which nucleotides and which abundances are hidden for prediction. Vectorised, on any device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aam.data.sequences import Nucleotide
from aam.options import MaskStrategy

_SHORTEST_SPAN, _LONGEST_SPAN = 3, 5
# The letter at a place that hides none.
NO_LETTER = -100


@dataclass(frozen=True)
class HiddenNucleotides:
    """Sequences with masks, and what is behind them.

    tokens: uint8 [U, 1 + L]; places: int64 [U, K], masked positions of each sequence, and any others where it has fewer; letters:
    int64 [U, K], 0-3 for A, C, G, T, `NO_LETTER` at those others. K follows from shapes alone, so that a GPU is not waited for.
    """

    tokens: Tensor
    places: Tensor
    letters: Tensor


def hide(tokens: Tensor, masked: Tensor, most: int) -> HiddenNucleotides:
    """Hide the `masked` positions, bool [U, 1 + L], of which no sequence has more than `most`."""
    places = masked.byte().argsort(dim=1, descending=True, stable=True)[:, :most]
    letters = tokens.gather(1, places).long() - Nucleotide.A
    return HiddenNucleotides(
        tokens.masked_fill(masked, Nucleotide.MASK), places, letters.masked_fill(~masked.gather(1, places), NO_LETTER)
    )


def most_masked(length: int, ratio: float) -> int:
    """Nucleotides that are masked at the most in a sequence of `length`."""
    return int(_share(torch.tensor(length), ratio))


def _share(known: Tensor, ratio: float) -> Tensor:
    return (known * ratio).round().long().clamp(min=1).minimum(known)


def _choose(scores: Tensor, allowed: Tensor, number: Tensor) -> Tensor:
    """True at each row's `number` [U] lowest `scores` [U, T] among the allowed positions."""
    ranks = scores.masked_fill(~allowed, torch.inf).argsort(dim=1, stable=True).argsort(dim=1)
    return (ranks < number.unsqueeze(1)) & allowed


def _span_scores(allowed: Tensor, generator: torch.Generator | None) -> Tensor:
    """Scores such that the lowest ones form spans: a position has the lowest random number of the spans that cover it."""
    shape, device = allowed.shape, allowed.device
    priority = torch.rand(shape, device=device, generator=generator)
    length = torch.randint(_SHORTEST_SPAN, _LONGEST_SPAN + 1, shape, device=device, generator=generator)
    scores = torch.ones(shape, device=device)
    for offset in range(min(_LONGEST_SPAN, shape[1])):
        reach = priority[:, : shape[1] - offset].where(length[:, : shape[1] - offset] > offset, 1.0)
        scores[:, offset:] = torch.minimum(scores[:, offset:], reach)
    return scores


def mask_nucleotides(tokens: Tensor, ratio: float, strategy: MaskStrategy, generator: torch.Generator | None = None) -> Tensor:
    """Masked positions, bool [U, 1 + L]: of each ASV's known nucleotides a share of `ratio`, at least one.

    START, PAD and ambiguous letters are never masked. `random` hides single nucleotides, `span` runs of 3-5 (longer where runs
    meet, the last one shorter where the share is reached), `hybrid` half of the share by each.
    """
    allowed = (tokens >= Nucleotide.A) & (tokens <= Nucleotide.T)
    known = allowed.sum(dim=1)
    number = _share(known, ratio)
    singles = torch.rand(tokens.shape, device=tokens.device, generator=generator)
    if strategy == "random":
        return _choose(singles, allowed, number)
    spans = _span_scores(allowed, generator)
    if strategy == "span":
        return _choose(spans, allowed, number)
    in_spans = _choose(spans, allowed, number // 2)
    return in_spans | _choose(singles, allowed & ~in_spans, number - number // 2)


def mask_abundances(asv_mask: Tensor, ratio: float, generator: torch.Generator | None = None) -> Tensor:
    """Masked abundances, bool [B, S]: a share of `ratio` of each sample's ASVs, at least one where a sample has two or more.

    `asv_mask` bool [B, S] is True at real ASVs. At least one abundance of each sample stays visible.
    """
    present = asv_mask.sum(dim=1)
    number = (present * ratio).round().long().clamp(min=1).minimum((present - 1).clamp(min=0))
    return _choose(torch.rand(asv_mask.shape, device=asv_mask.device, generator=generator), asv_mask, number)
