"""Letters along the alignment of ASVs: a logo of related ones, and which letters tell ASVs that matter from others."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aam.data import alignment
from aam.data.programs import run_program
from aam.errors import InputError
from aam.explain.nucleotides import LETTERS, LetterMethod, PositionEffects

_SECONDS = 600
_GAP = "-"


@dataclass(frozen=True, eq=False)
class Logo:
    """rows: the aligned sequences, C columns each, with - for a gap; frequencies: float64 [C, 5], of A, C, G, T and gaps, each ASV
    weighing as its nucleotides matter, adding up to 1 but for ambiguous letters; effect: float64 [C], the mean of what the letters
    of a column add to predictions; method: by which that was found (see `PositionEffects`).
    """

    rows: tuple[str, ...]
    frequencies: np.ndarray
    effect: np.ndarray
    method: LetterMethod


def nearest(vectors: np.ndarray, asv: int, candidates: np.ndarray, number: int) -> np.ndarray:
    """The `number` of the candidates (columns) whose vectors [M, W] are nearest to that of an ASV, the ASV itself first."""
    others = candidates[candidates != asv]
    distance = np.linalg.norm(vectors[others].astype(np.float64) - vectors[asv], axis=1)
    return np.concatenate([[asv], others[np.argsort(distance, kind="stable")[: number - 1]]])


def logo_of(effects: Sequence[PositionEffects]) -> Logo:
    """The logo of some ASVs, whose effects are by one method. InputError where an alignment is needed and the packages of the extra
    ``tree`` are not installed.
    """
    rows = align([some.letters for some in effects])
    size = np.array([np.abs(some.by_position).sum() for some in effects])
    weights = size / size.sum() if size.sum() > 0 else np.full(len(size), 1 / len(size))
    letters = np.array([list(row) for row in rows])
    frequencies = np.stack([weights @ (letters == letter) for letter in LETTERS + _GAP], axis=1)
    along = np.zeros(letters.shape)
    for row, there, some in zip(along, letters != _GAP, effects, strict=True):
        row[there] = some.by_position
    return Logo(tuple(rows), frequencies, along.mean(axis=0), effects[0].method)


@dataclass(frozen=True, eq=False)
class Telling:
    """Which letters go with how much an ASV adds to predictions. rows: as in `Logo`; share: float64 [C], of the differences between
    ASVs in what they add, the part that the letter in a column tells (0 to 1); by_letter: float64 [C, 5], what ASVs with A, C, G, T
    or a gap there add, less the mean of all (nan where no ASV has it).

    Of letters that relatives share, it cannot say which one matters: they tell the same.
    """

    rows: tuple[str, ...]
    share: np.ndarray
    by_letter: np.ndarray


def telling(sequences: Sequence[str], effects: np.ndarray, weights: np.ndarray) -> Telling:
    """Of n sequences with what each adds to predictions, float [n], and how much each counts [n] (the samples that have it). Errors
    as `logo_of`.
    """
    rows = align(sequences)
    letters = np.array([list(row) for row in rows])
    effect, weight = effects - np.average(effects, weights=weights), weights / weights.sum()
    one_hot = np.stack([letters == letter for letter in LETTERS + _GAP], axis=2).astype(np.float64)
    size = np.einsum("n,ncl->cl", weight, one_hot)
    total = np.einsum("n,ncl->cl", weight * effect, one_hot)
    by_letter = np.divide(total, size, out=np.full_like(total, np.nan), where=size > 0)
    differences = float(weight @ effect**2)
    told = np.nansum(size * by_letter**2, axis=1)
    return Telling(tuple(rows), told / differences if differences > 0 else np.zeros(len(told)), by_letter)


def align(sequences: Sequence[str]) -> list[str]:
    """Sequences aligned (FAMSA), in their order; those of one length are taken as they are."""
    if len({len(sequence) for sequence in sequences}) <= 1:
        return list(sequences)
    try:
        import pyfamsa  # noqa: F401
    except ImportError as error:
        raise InputError("a logo of ASVs of several lengths needs pyfamsa: pip install 'attention-all-microbes[tree]'") from error
    fasta = "".join(f">{number}\n{sequence}\n" for number, sequence in enumerate(sequences))
    command = [sys.executable, "-P", str(alignment.__file__)]
    aligned = run_program(command, fasta, f"Aligning {len(sequences)} ASVs", _SECONDS, "leave the logo out")
    records = dict(record.split("\n", 1) for record in aligned.split(">")[1:])
    return [records[str(number)].replace("\n", "") for number in range(len(sequences))]
