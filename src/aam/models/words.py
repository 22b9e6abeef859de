"""The words of a sequence: what alignment-free comparison sees of it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aam.data.sequences import Nucleotide

# A word is of letters that are known: A, C, G, T.
LETTERS = 4
# Components of the words of some sequences that vary less than this beside the first one are rounding.
_RANK = 1e-3


class Words(nn.Module):
    """The mean of the vectors of a sequence's words of `length` letters, tokens [U, 1 + L] -> [U, D].

    Before training these are principal components of the words of some sequences (`calibrate`), which tell ASVs apart as their
    words do: layers need not find that out first. A word with an ambiguous letter does not count; without any, the mean is taken.
    """

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.length = length
        # The first one is of no word.
        self.table = nn.Parameter(torch.zeros(1 + LETTERS**length, width))
        self.mean = nn.Parameter(torch.zeros(width))

    def forward(self, tokens: Tensor) -> Tensor:
        return F.embedding_bag(self.words(tokens), self.table, mode="mean", padding_idx=0) - self.mean

    def words(self, tokens: Tensor) -> Tensor:
        """The word that begins at each letter, int64 [U, words], from 1; 0 where it is none."""
        letters = F.pad(tokens[:, 1:], (0, max(0, self.length + 1 - tokens.shape[1]))).long() - Nucleotide.A
        known = ((letters >= 0) & (letters < LETTERS)).unfold(1, self.length, 1).all(dim=-1)
        places = LETTERS ** torch.arange(self.length - 1, -1, -1, device=tokens.device)
        return torch.where(known, (letters.unfold(1, self.length, 1) * places).sum(dim=-1) + 1, 0)

    def of_mixtures(self, letters: Tensor) -> Tensor:
        """The same of probabilities of the tokens [S, 1 + L, 7]: each word counts as often as its letters are there."""
        known = letters[:, 1:, Nucleotide.A : Nucleotide.T + 1]
        number = max(1, known.shape[1] - self.length + 1)
        padded = F.pad(known, (0, 0, 0, max(0, self.length - known.shape[1])))
        words = padded[:, :number]
        for place in range(1, self.length):
            words = torch.einsum("stw,stl->stwl", words, padded[:, place : place + number]).flatten(2)
        there = words.sum(dim=1)
        return there @ self.table[1:] / there.sum(dim=1, keepdim=True).clamp(min=1e-6) - self.mean

    @torch.no_grad()
    def calibrate(self, tokens: Tensor) -> None:
        """Principal components of the words of these sequences, each with standard deviation 1, as many as there are."""
        shares = torch.zeros(len(tokens), len(self.table), dtype=torch.float64, device=tokens.device)
        words = self.words(tokens)
        shares.scatter_add_(1, words, torch.ones_like(words, dtype=torch.float64))
        shares[:, 0] = 0
        shares /= shares.sum(dim=1, keepdim=True).clamp(min=1)
        mean = shares.mean(dim=0)
        _, spread, axes = torch.linalg.svd(shares - mean, full_matrices=False)
        number = min(self.table.shape[1], int((spread > _RANK * spread[0]).sum()))
        # Which way a component points is left to the library that finds it.
        largest = axes.abs().argmax(dim=1, keepdim=True)
        axes = axes * axes.gather(1, largest).sign()
        self.table.zero_()
        self.table[:, :number] = axes[:number].T * (len(tokens) ** 0.5 / spread[:number])
        self.mean.copy_(mean @ self.table.double())
