"""Samples that are named in files: those to use, training, validation and test samples that are given, those with a truth."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from aam.data.metadata_files import read_sample_ids
from aam.data.near_ids import near_ids
from aam.data.table import FeatureTable, keep_samples
from aam.errors import InputError, counted, first_few, some_of
from aam.options import SampleOptions
from aam.study.splits import Split, split_samples

log = logging.getLogger(__name__)

PARTS = ("train", "val", "test")


class Given(Protocol):
    """A file that says something of samples, `what`, by their `ids`."""

    @property
    def path(self) -> Path: ...

    @property
    def ids(self) -> Sequence[str]: ...

    @property
    def what(self) -> str: ...


def keep_given(table: FeatureTable, given: Given, ignore_missing: bool) -> FeatureTable:
    """The samples of a table that a file knows; others are an InputError, or left out with `ignore_missing`, which is said."""
    known, wanted = set(given.ids), set(table.sample_ids)
    kept = np.array([sample_id in known for sample_id in table.sample_ids], dtype=bool)
    missing = [sample_id for sample_id in table.sample_ids if sample_id not in known]
    near = near_ids(missing, [name for name in given.ids if name not in wanted], "the file")
    return keep_samples(table, kept, f"have no {given.what} in {given.path}", ignore_missing, near)


def read_chosen_ids(path: Path, option: str = "samples") -> tuple[str, ...]:
    """Sample IDs of a plain list or of metadata (see `read_sample_ids`). InputError for none, and for one twice."""
    ids = read_sample_ids(path)
    if not ids:
        raise InputError(f"`{option}={path}`: names no sample; one sample ID a line")
    if twice := pd.Index(ids)[pd.Index(ids).duplicated()].unique().tolist():
        raise InputError(f"`{option}={path}`: samples that are there twice: {first_few(twice)}")
    return tuple(ids)


def given_parts(options: SampleOptions, sample_ids: Sequence[str]) -> dict[str, np.ndarray]:
    """Rows of the parts that files name, by part. InputError for samples that are not among `sample_ids`, or in two files."""
    place = {sample_id: row for row, sample_id in enumerate(sample_ids)}
    found: dict[str, np.ndarray] = {}
    for part in PARTS:
        option = f"{part}_samples"
        path: Path | None = getattr(options, option)
        if path is None:
            continue
        ids = read_chosen_ids(path, option)
        if strangers := [sample_id for sample_id in ids if sample_id not in place]:
            what = some_of(len(strangers), len(ids), "are not among the samples of this run")
            raise InputError(f"`{option}={path}`: {what} (table, metadata, `where`): {first_few(strangers)}")
        found[part] = np.sort(np.array([place[sample_id] for sample_id in ids], dtype=np.int64))
    for one, other in combinations(found, 2):
        if len(both := np.intersect1d(found[one], found[other])):
            named = first_few([sample_ids[row] for row in both])
            raise InputError(f"`{one}_samples` and `{other}_samples` share {counted(len(both), 'sample')}: {named}")
    return found


def complete_split(
    given: Mapping[str, np.ndarray],
    n: int,
    options: SampleOptions,
    seed: int,
    *,
    groups: np.ndarray | None = None,
    labels: np.ndarray | None = None,
) -> Split:
    """The split of n samples whose parts `given` are fixed.

    Training samples that are given: the validation samples, if not given, are a share `val_fraction` of them, and the test samples
    all others, unless `test_fraction` is 0. Else the parts that are not given are drawn from the samples that are in none, by the
    fractions of these. Samples of no part are left out. InputError where a group is on two sides, unless both were given: then a
    warning.
    """
    parts, rest = dict(given), np.setdiff1d(np.arange(n), np.concatenate(list(given.values())))

    def draw(rows: np.ndarray, val: float, test: float) -> Split:
        own = [None if some is None else some[rows] for some in (groups, labels)]
        drawn = split_samples(len(rows), val, test, seed, groups=own[0], labels=own[1])
        return Split(rows[drawn.train], rows[drawn.val], rows[drawn.test])

    if "train" in given:
        if "val" not in given:
            drawn = draw(given["train"], options.val_fraction, 0.0)
            parts |= {"train": drawn.train, "val": drawn.val}
        parts.setdefault("test", rest if options.test_fraction else rest[:0])
    elif not len(rest):
        raise InputError("no sample is left to train on: `val_samples` and `test_samples` name them all")
    else:
        val, test = 0.0 if "val" in given else options.val_fraction, 0.0 if "test" in given else options.test_fraction
        drawn = draw(rest, val, test) if val or test else Split(rest, rest[:0], rest[:0])
        parts = {"train": drawn.train, "val": drawn.val, "test": drawn.test} | parts
    split = Split(*(parts[part] for part in PARTS))
    if left := n - sum(map(len, (split.train, split.val, split.test))):
        log.warning("%s: left out", some_of(left, n, "are in no part of the split that is given"))
    if groups is not None:
        # Those that were drawn from samples that are given are given, too.
        _look_at_groups(split, groups, set(given) | ({"val"} if "train" in given else set()))
    return split


def _look_at_groups(split: Split, groups: np.ndarray, given: set[str]) -> None:
    for one, other in combinations(PARTS, 2):
        both = sorted(set(groups[getattr(split, one)]) & set(groups[getattr(split, other)]))
        if not both:
            continue
        message = f"{counted(len(both), 'group')} on both sides of the split ({one}, {other}): {first_few(both)}"
        if {one, other} <= given:
            log.warning("%s; scores are of samples of known groups, not of new groups", message)
        else:
            missing = next(part for part in (other, one) if part not in given)
            named = next(part for part in (one, other) if part in given)
            advice = f"give whole groups in `{named}_samples`, or `{missing}_samples` too"
            raise InputError(f"{message}; {advice}")
