"""The words of a sequence: what alignment-free comparison sees of it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aam.data.sequences import Nucleotide
from aam.options import ComputeOptions, ModelOptions

# A word is of letters that are known: A, C, G, T.
LETTERS = 4
# Components of the words of some sequences that vary less than this beside the first one are rounding.
_RANK = 1e-3
# What the layers say counts so much beside words. They learn what tells training ASVs apart by heart; with more of it, distances
# between new samples are told worse.
_BESIDE_WORDS = 0.1


class Words(nn.Module):
    """The mean of the vectors of a sequence's words of `length` letters, tokens [U, 1 + L] -> [U, D].

    These are principal components of the words of some sequences (`calibrate`), which tell ASVs apart as their words do: layers
    need not find that out first. They stay as they are: a vector of its own for each word learns single ASVs by heart. A word with
    an ambiguous letter does not count; a sequence without any is at 0, the mean of all.
    """

    places: Tensor

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.length = length
        # The first one is of no word.
        self.table = nn.Parameter(torch.zeros(1 + LETTERS**length, width), requires_grad=False)
        self.register_buffer("places", LETTERS ** torch.arange(length - 1, -1, -1, dtype=torch.int32), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return F.embedding_bag(self.words(tokens), self.table, mode="mean", padding_idx=0)

    def words(self, tokens: Tensor) -> Tensor:
        """The word that begins at each letter, int64 [U, words], from 1; 0 where it is none."""
        if (missing := self.length + 1 - tokens.shape[1]) > 0:
            tokens = F.pad(tokens, (0, missing))
        # Bytes: what stands before A becomes large.
        letters = (tokens[:, 1:] - Nucleotide.A).int()
        # A letter that is not known makes the number of its words negative.
        known = torch.where(letters < LETTERS, letters, -(LETTERS**self.length))
        return ((known.unfold(1, self.length, 1) * self.places).sum(dim=-1) + 1).clamp(min=0)

    def beside(self, vectors: Tensor, words: Tensor) -> Tensor:
        """What layers make of ASVs [U, D], of standard deviation 1 before training, and their words [U, D], together."""
        return words + _BESIDE_WORDS * vectors

    def of_mixtures(self, letters: Tensor) -> Tensor:
        """The same of probabilities of the tokens [S, 1 + L, 7]: each word counts as often as its letters are there."""
        known = letters[:, 1:, Nucleotide.A : Nucleotide.T + 1]
        number = max(1, known.shape[1] - self.length + 1)
        padded = F.pad(known, (0, 0, 0, max(0, self.length - known.shape[1])))
        words = padded[:, :number]
        for place in range(1, self.length):
            words = torch.einsum("stw,stl->stwl", words, padded[:, place : place + number]).flatten(2)
        there = words.sum(dim=1)
        return there @ self.table[1:] / there.sum(dim=1, keepdim=True).clamp(min=1e-6)

    @torch.no_grad()
    def calibrate(self, tokens: Tensor) -> None:
        """Principal components of the words of these sequences, each with standard deviation 1, as many as there are."""
        words = self.words(tokens)
        words = words[words.any(dim=1)]
        shares = torch.zeros(len(words), len(self.table), dtype=torch.float64, device=tokens.device)
        shares.scatter_add_(1, words, torch.ones_like(words, dtype=torch.float64))
        shares[:, 0] = 0
        shares /= shares.sum(dim=1, keepdim=True)
        self.table.zero_()
        if not len(shares):
            return
        mean = shares.mean(dim=0)
        shares -= mean
        # Of the products of the fewer side: sequences.
        squares, vectors = torch.linalg.eigh(shares @ shares.T)
        spread = squares.clamp(min=0).sqrt().flip(0)
        number = min(self.table.shape[1], int((spread > _RANK * spread[0]).sum()))
        axes = (vectors.flip(1)[:, :number].T @ shares) / spread[:number].unsqueeze(1)
        # Which way a component points is left to the library that finds it.
        largest = axes.abs().argmax(dim=1, keepdim=True)
        axes = axes * axes.gather(1, largest).sign()
        components = axes.T * (len(words) ** 0.5 / spread[:number])
        self.table[1:, :number] = components[1:] - mean @ components


class WordEncoder(nn.Module):
    """An ASV is the mean of its words, and nothing more: tokens uint8 [U, 1 + L] -> [U, D]. See `Words`."""

    def __init__(self, options: ModelOptions, compute: ComputeOptions) -> None:
        super().__init__()
        self.options, self.compute = options, compute
        # Of layers, which have activations; there are none here.
        self.gradient_checkpointing = False
        self.gradients_of: float | None = None
        self.words = Words(options.word_length, options.embedding_dim)

    def forward(self, asv_tokens: Tensor, equal_lengths: bool | None = None) -> Tensor:
        """equal_lengths: as of other encoders of ASVs; it changes nothing."""
        return self.words(asv_tokens)
