"""Parts of the held-out samples that may be predicted worse than the others: levels of metadata, groups, depth, novelty, ASVs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from aam.data.numbers import finite_number
from aam.evaluation.compare import Outcome
from aam.explain.story import short_id

# A level of fewer samples says nothing, and a column of more levels names samples.
FEWEST, _MOST_LEVELS = 10, 60
# ASVs whose presence is looked at: those of the most reads.
_ASVS = 20
GROUP, _ASV = "group", "ASV"


@dataclass(frozen=True, eq=False)
class Stratum:
    """The samples of a level of a column; members: bool [n], of the held-out samples; known: of metadata or groups, and not counted
    in their reads.
    """

    column: str
    level: str
    members: np.ndarray
    known: bool = True


def label_of(column: str, level: str) -> str:
    """A level as a reader meets it: ASVs by a short name."""
    kind, _, name = column.partition(" ")
    return f"{kind} {short_id(name)}: {level}" if kind == _ASV else f"{column}: {level}"


def strata_of(outcome: Outcome, rows: np.ndarray, *, each: bool = False) -> list[Stratum]:
    """All strata of some samples that have enough samples inside and outside. Of two levels that are all samples, one.

    each: both of these, and groups however many there are.
    """
    return [
        replace(stratum, known=known)
        for known, columns in ((True, _known), (False, _counted))
        for column, values in columns(outcome, rows)
        for stratum in _levels(column, values, each=each)
        if min(stratum.members.sum(), (~stratum.members).sum()) >= FEWEST
    ]


def known_levels(outcome: Outcome, rows: np.ndarray) -> list[Stratum]:
    """Every group, and every level of the metadata of some samples, of whatever size, groups first."""
    columns = sorted(_known(outcome, rows), key=lambda column: column[0] != GROUP)
    return [level for column, values in columns for level in _levels(column, values, each=True)]


def _known(outcome: Outcome, rows: np.ndarray) -> Iterator[tuple[str, Sequence[object] | np.ndarray]]:
    """Columns of what is known of samples beside their microbes: numbers float [n], or text, None where missing."""
    problem = outcome.problem
    study, metadata = problem.study, problem.study.full_metadata
    for column in [] if metadata is None else map(str, metadata.typed.columns):
        assert metadata is not None
        texts = metadata.texts(column).loc[list(study.ids(rows))]
        if column != problem.column and not _are_groups(texts, problem.groups, rows):
            yield column, _read(texts)
    if problem.groups is not None:
        yield GROUP, problem.groups[rows].astype(object)


def _counted(outcome: Outcome, rows: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The same of their reads and ASVs."""
    study = outcome.problem.study
    counts = study.counts[rows]
    yield "reads", np.asarray(counts.sum(axis=1)).ravel().astype(float)
    yield "number of ASVs", np.diff(counts.indptr).astype(float)
    yield "share of reads of ASVs that training samples lack", _unknown_reads(outcome, rows)
    shares = study.shares[rows]
    for asv in np.argsort(-np.asarray(shares.sum(axis=0)).ravel(), kind="stable")[:_ASVS]:
        present = np.asarray(shares[:, [asv]].todense()).ravel() > 0
        yield f"{_ASV} {study.table.feature_ids[asv]}", np.where(present, "present", "absent").astype(object)


def _are_groups(texts: pd.Series, groups: np.ndarray | None, rows: np.ndarray) -> bool:
    """Whether a column tells the same samples apart as the groups do, which are looked at anyway."""
    return groups is not None and bool((pd.factorize(texts)[0] == pd.factorize(groups[rows])[0]).all())


def _read(texts: pd.Series) -> Sequence[object] | np.ndarray:
    """Numbers, where a column holds nothing else and more of them than levels; else its text."""
    there = [value for value in texts if value is not None]
    numbers = [finite_number(value) for value in there]
    if there and None not in numbers and len(set(numbers)) > 8:
        return np.array([np.nan if value is None else finite_number(value) for value in texts], dtype=float)
    return list(texts)


def _levels(column: str, values: Sequence[object] | np.ndarray, *, each: bool = False) -> Iterator[Stratum]:
    """each: both of two levels, and groups however many there are."""
    if isinstance(values, np.ndarray) and values.dtype == float:
        low, high = np.nanquantile(values, [0.25, 0.75]) if np.isfinite(values).any() else (np.nan, np.nan)
        if low < high:
            yield Stratum(column, f"lowest quarter (up to {_short(low)})", values <= low)
            yield Stratum(column, f"highest quarter (from {_short(high)})", values >= high)
        return
    texts = np.array(["" if value is None else str(value) for value in values], dtype=object)
    levels = sorted(set(texts) - {""})
    if 1 < len(levels) <= _MOST_LEVELS or (each and column == GROUP):
        # What is true of one of two levels is true of the other, the other way round.
        for level in levels[: 1 if len(levels) == 2 and "" not in texts and not each else None]:
            yield Stratum(column, level, texts == level)


def _short(value: float) -> str:
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def _unknown_reads(outcome: Outcome, rows: np.ndarray) -> np.ndarray:
    """Share of the reads of each sample whose ASV no training sample of its fold has, [n]."""
    study = outcome.problem.study
    share = np.zeros(len(study))
    for fold in outcome.folds:
        if fold.repeat == 0:
            known = np.asarray(study.counts[fold.train].sum(axis=0)).ravel() > 0
            share[fold.test] = np.asarray(study.shares[fold.test][:, ~known].sum(axis=1)).ravel()
    return share[rows]
