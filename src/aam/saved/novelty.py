"""What novelty is measured from, in a file of its own in the model folder: arrays, checked when they are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from aam.data.sequences import Nucleotide
from aam.ensemble.asv_vectors import N_WORDS, SequenceWords
from aam.ensemble.novelty import LEAST_LIMIT, MOST_ASVS, WIDTH, KnownAsvs, Novelty
from aam.errors import one_line

NOVELTY = "novelty.safetensors"
# Beyond it squares of distances would not be numbers of single precision.
_LARGEST = 1e14
_BROKEN = (AttributeError, LookupError, MemoryError, OSError, RuntimeError, SafetensorError, TypeError)


def novelty_arrays(novelty: Novelty) -> dict[str, np.ndarray]:
    """What `read_novelty` reads."""
    found = {"least_reads": np.array(novelty.least_reads or 0), "least_asvs": np.array(novelty.least_asvs or 0)}
    if (known := novelty.asvs) is not None:
        found |= {"words.directions": _half(known.words.directions), "words.shift": known.words.shift}
        # Vectors come out of letters, which take less room.
        asvs = {"vectors": known.vectors} if known.tokens is None else {"letters": _packed(known.tokens)}
        found |= {**asvs, "limit": np.array(known.limit)}
    return found


def read_novelty(path: Path) -> Novelty:
    """Read the file. ValueError for one that is missing, or that does not hold what novelty is measured from."""
    try:
        arrays = load_file(path)
    except _BROKEN as error:
        raise ValueError(f"{path.name}: {type(error).__name__}: {one_line(error)}") from error
    least = [arrays.pop(name, None) for name in ("least_reads", "least_asvs")]
    if not all(isinstance(value, np.ndarray) and (value.shape, value.dtype) == ((), np.int64) and value >= 0 for value in least):
        raise ValueError(f"{path.name}: least_reads and least_asvs are no counts")
    return Novelty(_known(arrays, path.name) if arrays else None, *(int(value) for value in least if value is not None))


def _known(arrays: dict[str, np.ndarray], name: str) -> KnownAsvs:
    """The known ASVs, after a look at sizes and values."""
    if arrays.get("words.directions", np.zeros(0)).dtype == np.float16:
        arrays["words.directions"] = arrays["words.directions"].astype(np.float32)
    asvs = "letters" if "letters" in arrays else "vectors"
    shapes = {part: value.shape for part, value in arrays.items()}
    n, across = [*shapes.get(asvs, ()), 0, 0][:2]
    width = [*shapes.get("words.shift", ()), 0][0]
    wanted = {"words.directions": (N_WORDS, width), "words.shift": (width,), "limit": ()}
    wanted[asvs] = (n, across if asvs == "letters" else width)
    if shapes != wanted or not (1 <= n <= MOST_ASVS and width <= WIDTH):
        raise ValueError(f"{name}: arrays of other shapes than those of known ASVs")
    kinds = {part: {"limit": np.float64, "letters": np.uint8}.get(part, np.float32) for part in wanted}
    if any(arrays[part].dtype != kind for part, kind in kinds.items()):
        raise ValueError(f"{name}: arrays of other types than those of known ASVs")
    # Not "larger than": of what is no number, nothing is.
    if not all((np.abs(value) <= _LARGEST).all() for value in arrays.values()) or arrays["limit"] < LEAST_LIMIT:
        raise ValueError(f"{name}: a value is not finite, or out of range")
    words, limit = SequenceWords(arrays["words.directions"], arrays["words.shift"]), float(arrays["limit"])
    if asvs == "vectors":
        return KnownAsvs(words, arrays["vectors"], limit)
    tokens = _unpacked(arrays["letters"])
    if (tokens > max(Nucleotide)).any():
        raise ValueError(f"{name}: letters that are none")
    return KnownAsvs.of(words, tokens, limit)


def _half(values: np.ndarray) -> np.ndarray:
    """In half precision, where that loses nothing."""
    half = values.astype(np.float16)
    return half if (half == values).all() else values


def _packed(tokens: np.ndarray) -> np.ndarray:
    """Tokens uint8 [n, 1 + L] without START, two to a byte."""
    letters = np.pad(tokens[:, 1:], ((0, 0), (0, (tokens.shape[1] - 1) % 2)))
    return letters[:, ::2] << 4 | letters[:, 1::2]


def _unpacked(packed: np.ndarray) -> np.ndarray:
    """The other way round; of an odd number of letters there is one more, PAD."""
    letters = np.stack([packed >> 4, packed & 15], axis=2).reshape(len(packed), -1)
    return np.pad(letters, ((0, 0), (1, 0)), constant_values=Nucleotide.START)
