"""What novelty is measured from, in a file of its own in the model folder: arrays, checked when they are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

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
    if novelty.asvs is not None:
        words = {f"words.{name}": value for name, value in vars(novelty.asvs.words).items()}
        found |= {**words, "vectors": novelty.asvs.vectors, "limit": np.array(novelty.asvs.limit)}
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
    shapes = {part: value.shape for part, value in arrays.items()}
    n, width = [*shapes.get("vectors", ()), 0, 0][:2]
    wanted = {"words.directions": (N_WORDS, width), "words.shift": (width,), "vectors": (n, width), "limit": ()}
    if shapes != wanted or not (1 <= n <= MOST_ASVS and width <= WIDTH):
        raise ValueError(f"{name}: arrays of other shapes than those of known ASVs")
    kinds = {part: np.float64 if part == "limit" else np.float32 for part in wanted}
    if any(arrays[part].dtype != kind for part, kind in kinds.items()):
        raise ValueError(f"{name}: arrays of other types than those of known ASVs")
    # Not "larger than": of what is no number, nothing is.
    if not all((np.abs(value) <= _LARGEST).all() for value in arrays.values()) or arrays["limit"] < LEAST_LIMIT:
        raise ValueError(f"{name}: a value is not finite, or out of range")
    words = SequenceWords(arrays["words.directions"], arrays["words.shift"])
    return KnownAsvs(words, arrays["vectors"], float(arrays["limit"]))
