"""ASVs learn in which clades of a tree they are, by the words of their sequences, before samples learn anything."""

from __future__ import annotations

import logging

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from aam.compute import default_device
from aam.data.phylogeny import Phylogeny
from aam.data.sequences import Nucleotide
from aam.distances.nodes import reads_below
from aam.distances.unifrac import tip_of_columns
from aam.errors import InputError
from aam.models.clades import CladeEncoder
from aam.progress import track
from aam.study.study import Study
from aam.training.module import warmup_cosine

log = logging.getLogger(__name__)

# Samples of each group that clades are chosen by, and in all, at most.
_OF_GROUP, _SAMPLES = 60, 1_000
_EPOCHS, _FEWEST_STEPS, _ASVS, _LR, _WEIGHT_DECAY, _WARMUP = 25, 500, 256, 2e-3, 1e-2, 50
# Noise on the words of an ASV, whose standard deviation is 1: what is new differs from what was seen.
_NOISE = 0.1
# Of a sequence, that a shorter read lacks at most.
_MOST_CUT = 0.35
# A share of ASVs that are in a clade is at least so far from none and all.
_EDGE = 1e-4


def teach_clades(
    encoder: CladeEncoder,
    study: Study,
    phylogeny: Phylogeny,
    columns: tuple[np.ndarray, np.ndarray],
    rows: np.ndarray,
    groups: np.ndarray | None,
    seed: int,
    *,
    show: bool = True,
) -> None:
    """Teach a fresh encoder the clades of ASVs, and which of them the samples `rows` have.

    columns: of the ASVs that are learned from, and of others by which it is said how well new ones are told; groups [N]: as many
    samples of each choose the clades. InputError for a tree that has not so many which tell samples apart.
    """
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    encoder.to(default_device())
    chosen, share, length = choose_clades(study, phylogeny, _some(rows, groups, rng), encoder.share.shape[0])
    encoder.share.copy_(torch.from_numpy(share))
    encoder.weight.copy_(torch.from_numpy(np.sqrt(length / length.mean())))
    tip = tip_of_columns(phylogeny)
    start, end = (torch.from_numpy(bound[chosen]) for bound in (phylogeny.node_start, phylogeny.node_end))

    def told(of: np.ndarray) -> tuple[Tensor, Tensor]:
        """Tokens of ASVs that are in the tree, and which clades they are in, bool."""
        of = of[tip[of] >= 0]
        place = torch.from_numpy(tip[of])[:, None]
        return torch.from_numpy(study.asv_tokens[of]), (place >= start) & (place < end)

    tokens, inside = told(columns[0])
    _learn(encoder, tokens, inside, generator, show)
    new = told(columns[1])
    for what, (given, true) in {"ASVs that taught them": (tokens, inside), "new ASVs": new}.items():
        if len(given):
            log.info("clades told of %d %s: %s", len(given), what, _how_well(encoder, given, true))


def choose_clades(study: Study, phylogeny: Phylogeny, rows: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The nodes that tell most of the samples `rows` apart by most of the tree's length: int64 [number], the share of the samples
    that have each, and the length of the branch above it, float64.
    """
    share = np.asarray((reads_below(study.table.counts[rows], phylogeny) > 0).mean(axis=0)).ravel()
    worth = phylogeny.branch_length * share * (1 - share)
    if (there := int((worth > 0).sum())) < number:
        raise InputError(f"`clades={number}`: the tree has {there} that tell samples apart; give {there} or fewer")
    chosen = np.sort(np.argsort(-worth, kind="stable")[:number])
    return chosen, share[chosen], phylogeny.branch_length[chosen]


def _some(rows: np.ndarray, groups: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """Some of the samples `rows`, as many of each group as there are."""
    if groups is not None:
        rows = np.concatenate([rng.permutation(rows[groups[rows] == group])[:_OF_GROUP] for group in np.unique(groups[rows])])
    return np.sort(rng.permutation(rows)[:_SAMPLES])


def _learn(encoder: CladeEncoder, tokens: Tensor, inside: Tensor, generator: torch.Generator, show: bool) -> None:
    share = (inside.sum(dim=0) / len(inside)).double().clamp(_EDGE, 1 - _EDGE)
    with torch.no_grad():
        encoder.to_clades.bias.copy_(torch.logit(share))
    device, words = encoder.device, encoder.asv_encoder
    optimizer = torch.optim.AdamW(
        [*encoder.widen.parameters(), *encoder.to_clades.parameters()], lr=_LR, weight_decay=_WEIGHT_DECAY
    )
    steps = max(_FEWEST_STEPS, _EPOCHS * len(tokens) // _ASVS)
    for step in track(range(steps), "Teaching ASVs their clades" if show else "", steps):
        optimizer.param_groups[0]["lr"] = _LR * warmup_cosine(step, steps, _WARMUP)
        rows = torch.randperm(len(tokens), generator=generator)[:_ASVS]
        read = words(shortened(tokens[rows], generator).to(device))
        noisy = read + _NOISE * torch.randn(read.shape, generator=generator).to(device)
        said, true = encoder.logits(noisy), inside[rows].to(device).float()
        losses = F.binary_cross_entropy_with_logits(said, true, reduction="none")
        optimizer.zero_grad()
        (losses * encoder.weight).sum(dim=1).mean().backward()
        optimizer.step()
    optimizer.zero_grad()


def shortened(tokens: Tensor, generator: torch.Generator) -> Tensor:
    """About half of these sequences [U, 1 + L] as shorter reads, which begin or end anywhere: padding in the place of the rest.

    Words are counted wherever they stand.
    """
    lengths = (tokens != Nucleotide.PAD).sum(dim=1) - 1
    cut, first, half = torch.rand(3, len(tokens), generator=generator)
    kept = lengths * torch.where(half < 0.5, 1 - _MOST_CUT * cut, 1.0)
    start = 1 + first * (lengths - kept)
    place = torch.arange(tokens.shape[1])
    # The first place is that of START.
    inside = (place == 0) | ((place >= start.floor()[:, None]) & (place < (start + kept).ceil()[:, None]))
    return tokens.masked_fill(~inside, Nucleotide.PAD)


@torch.no_grad()
def _how_well(encoder: CladeEncoder, tokens: Tensor, inside: Tensor) -> str:
    """Of the clades that ASVs are in, and of those that they are not in, how many are told."""
    parts = tokens.split(_SAMPLES)
    said = torch.cat([encoder.logits(encoder.asv_encoder(part.to(encoder.device))).cpu() > 0 for part in parts])
    right, wrong = (int((said & mask).sum()) / max(1, int(mask.sum())) for mask in (inside, ~inside))
    return f"{100 * right:.1f} % of those that they are in, and {100 * wrong:.2f} % of the others"
