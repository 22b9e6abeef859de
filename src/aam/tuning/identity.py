"""What a search is: all that decides how its trials are scored, by name. A file of trials goes on with that search alone."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from aam.disk.contents import contents_of
from aam.saved.named import place_of
from aam.tuning.space import Knob

# Files that say which samples there are, whose reads and values have a hash of their own (`key_of_samples`).
_SAMPLES = ("metadata", "train_samples", "val_samples", "test_samples")
# What changes time and memory, and no result.
_SPEED = (
    "asv_chunk_size",
    "attn_implementation",
    "gradient_checkpointing",
    "compile_model",
    "checkpoint_minutes",
    "num_workers",
    "devices",
    "num_nodes",
)


def identity_of(parts: Iterable[Any], space: Sequence[Knob], unused: Collection[str] = ()) -> dict[str, str]:
    """Options by name, but for those that are `unused`, with the space. A file or model folder counts by its content, wherever it
    lies. Every option counts that is not known to change nothing: one that is new, too.

    InputError for a file that cannot be read.
    """
    left_out = {*_SAMPLES, *_SPEED, *unused}
    told = {name: value for part in parts for name, value in _named(part) if name not in left_out}
    return {**told, "space": "; ".join(f"{knob.name}: {knob.text()}" for knob in space)}


def _named(part: Any) -> Iterator[tuple[str, str]]:
    for field in fields(part):
        value: Any = getattr(part, field.name)
        if isinstance(value, Path):
            content = contents_of({field.name: (place_of(value),)})[field.name]
            yield field.name, f"a file of SHA-256 {hashlib.sha256(content[0].encode()).hexdigest()[:12]}"
        elif value is None or value == ():
            yield field.name, "not given"
        else:
            yield field.name, ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
