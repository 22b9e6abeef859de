"""Sequences of the ASVs, and their tokens."""

from __future__ import annotations

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Sequence
from enum import IntEnum
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from aam.data.files import HDF5_SIGNATURE, ZIP_SIGNATURE, decode, read_file, read_qza
from aam.data.h5ad import is_h5ad, read_var_sequences
from aam.data.kinds import kind_of, kind_of_undecoded
from aam.data.near_ids import near_ids
from aam.data.table import FeatureTable
from aam.errors import InputError, first_few, shown

log = logging.getLogger(__name__)


class Nucleotide(IntEnum):
    """The vocabulary of the model."""

    PAD = 0
    A = 1
    C = 2
    G = 3
    T = 4
    START = 5
    MASK = 6


# Sequences that are tokenised together.
_AT_ONCE = 2**14

AMBIGUOUS = "RYSWKMBDHVN"
# ASCII: upper() would turn some other letters into nucleotides.
NOT_NUCLEOTIDE = re.compile(f"[^ACGTU{AMBIGUOUS}]", re.ASCII | re.IGNORECASE)
MD5 = re.compile("[0-9a-fA-F]{32}")

_COMPLEMENT = str.maketrans("ACGTRYSWKMBDHVN", "TGCAYRSWMKVHDBN")

TOKEN_OF_BYTE = np.full(256, Nucleotide.PAD, dtype=np.uint8)
TOKEN_OF_BYTE[list(AMBIGUOUS.encode())] = Nucleotide.MASK
for letter in "ACGT":
    TOKEN_OF_BYTE[ord(letter)] = Nucleotide[letter]
# IDs that may be sequences, or stand for one. A short name may happen to have such letters only: NA, GAC.
_MAY_BE_SEQUENCE = re.compile(f"[ACGTU{AMBIGUOUS}]{{20,}}|{MD5.pattern}", re.ASCII | re.IGNORECASE)
_SHORT_SEQUENCE = re.compile("[ACGTUN]+", re.ASCII | re.IGNORECASE)


def have_no_sequences(feature_ids: Sequence[str]) -> bool:
    """Whether IDs are names (OTUs, genera, pathways): none is a sequence or the MD5 of one, nor are most a short sequence."""
    if any(_MAY_BE_SEQUENCE.fullmatch(name) for name in feature_ids):
        return False
    return 2 * sum(_SHORT_SEQUENCE.fullmatch(name) is not None for name in feature_ids) <= len(feature_ids)


def read_sequences(table: FeatureTable, rep_seqs: Path | None = None) -> tuple[str, ...]:
    """Sequence of every feature, M of them in table order: upper case, U read as T, IUPAC ambiguity letters kept.

    They come from `rep_seqs` (FASTA, a QIIME 2 .qza, or the column ``sequence`` of var in an .h5ad) or else are the feature ids
    themselves. InputError for a feature without a sequence, for a letter that is not a nucleotide, and for an id that looks like an
    MD5 but is not that of its sequence.
    """
    if rep_seqs is None:
        advice = "its id is not a sequence; pass the sequences with `rep_seqs` (FASTA or .qza)"
        return tuple(fold(name, name, advice) for name in table.feature_ids)
    written = _read_written(rep_seqs)
    if missing := [name for name in table.feature_ids if name not in written]:
        count = f"{len(missing)} of {len(table.feature_ids)} features"
        found = f"it has {first_few(written, 3)}{near_ids(missing, written, 'that file')}"
        raise InputError(f"{rep_seqs}: lacks the sequences of {count}: {first_few(missing)}; {found}")
    for name in table.feature_ids:
        if MD5.fullmatch(name) and not _is_md5(name, written[name]):
            raise InputError(
                f"{rep_seqs}: feature {name} looks like an MD5 but is not that of its sequence; are these the table's sequences?"
            )
    return tuple(fold(name, written[name], f"correct its sequence in {rep_seqs}") for name in table.feature_ids)


def own_sequences(path: Path) -> Path | None:
    """The file of a table, where it is an .h5ad that holds the sequences of its features, too."""
    if path.suffix.lower() != ".h5ad":
        return None
    content = read_file(path)
    return path if is_h5ad(content, path) and read_var_sequences(content, path) is not None else None


def _is_md5(name: str, sequence: str) -> bool:
    candidates = (sequence, sequence.upper())
    return name.lower() in (hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() for text in candidates)


def fold(name: str, sequence: str, advice: str) -> str:
    """A sequence as it is kept: upper case, U read as T. InputError, which names the feature, for other letters."""
    if not sequence:
        raise InputError(f"feature {shown(name)}: empty sequence; {advice}")
    if wrong := NOT_NUCLEOTIDE.search(sequence):
        raise InputError(
            f"feature {shown(name)}: {wrong[0]!r} at position {wrong.start() + 1} is not a nucleotide letter; {advice}"
        )
    return sequence.upper().replace("U", "T")


def reverse_complement(sequence: str) -> str:
    """The other strand of a sequence as it is kept, read from its own start."""
    return sequence[::-1].translate(_COMPLEMENT)


def _read_written(path: Path) -> dict[str, str]:
    """Sequences as written, by feature ID: of a FASTA file, the first word of their header."""
    content = read_file(path)
    if content.startswith(HDF5_SIGNATURE) and is_h5ad(content, path):
        if (found := read_var_sequences(content, path)) is None:
            raise InputError(f"{path}: var has no column `sequence`; add it, or give the sequences as FASTA")
        return found
    if content.startswith(ZIP_SIGNATURE):
        content = read_qza(content, path, "FeatureData[Sequence]", "dna-sequences.fasta")
    try:
        text = decode(content).strip()
    except UnicodeDecodeError as error:
        what = kind_of(content) or kind_of_undecoded(content)
        raise InputError(f"{path}: {what}, neither FASTA nor a QIIME 2 .qza") from error
    if not text.startswith(">"):
        about = f"{kind}, " if (kind := kind_of(content)) else ""
        raise InputError(f"{path}: {about}not FASTA: the first line must be '>' and a feature id")
    sequences: dict[str, str] = {}
    for record in ("\n" + text).split("\n>")[1:]:
        header, _, lines = record.partition("\n")
        name = (header.split() or [""])[0]
        if name in sequences:
            raise InputError(f"{path}: feature {shown(name)} is there twice; keep one sequence for each feature")
        sequences[name] = "".join(lines.split())
    return sequences


def _mapped(shape: tuple[int, int]) -> np.ndarray:
    # It lives as long as the array.
    return np.memmap(TemporaryFile(), dtype=np.uint8, shape=shape)


def no_tokens(table: FeatureTable) -> np.ndarray:
    """Tokens of features without sequences, uint8 [M, 1]: START alone."""
    return np.full((len(table.feature_ids), 1), Nucleotide.START, dtype=np.uint8)


def tokenize(sequences: Sequence[str], feature_ids: Sequence[str], max_bp: int, *, on_disk: bool = False) -> np.ndarray:
    """Tokens of M sequences, uint8 [M, 1 + L] with L = min(max_bp, longest): START, nucleotides, PAD; ambiguous letters are MASK.

    Sequences are as `read_sequences` returns them. Longer ones are cut, with one warning that says how many and which distinct ASVs
    became equal. `on_disk`: the tokens are mapped from a temporary file, which is gone when they are.
    """
    length = max(min(len(sequence), max_bp) for sequence in sequences)
    shape = (len(sequences), 1 + length)
    tokens = _mapped(shape) if on_disk else np.empty(shape, dtype=np.uint8)
    tokens[:, 0] = Nucleotide.START
    for start in range(0, len(sequences), _AT_ONCE):
        part = [sequence[:max_bp].ljust(length, "\0") for sequence in sequences[start : start + _AT_ONCE]]
        letters = np.frombuffer("".join(part).encode("ascii"), dtype=np.uint8)
        tokens[start : start + len(part), 1:] = TOKEN_OF_BYTE[letters].reshape(len(part), length)
    truncated = sum(len(sequence) > max_bp for sequence in sequences)
    if truncated:
        sharing = Counter(sequence[:max_bp] for sequence in set(sequences))
        merged = [name for name, sequence in zip(feature_ids, sequences, strict=True) if sharing[sequence[:max_bp]] > 1]
        outcome = f"{len(merged)} became equal to another: {first_few(merged, 2)}" if merged else "none became equal to another"
        log.warning("%d of %d ASVs are longer than `max_bp=%d` and were cut; %s", truncated, len(sequences), max_bp, outcome)
    return tokens
