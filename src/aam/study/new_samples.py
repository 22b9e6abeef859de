"""Samples that a fitted model is used on: which of a table, and what is known of them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from aam.data.metadata import Metadata, read_metadata
from aam.data.numbers import finite_number
from aam.data.table import keep_samples
from aam.errors import InputError, first_few, some_of
from aam.options import GroupOptions, NewSampleOptions, ReadOptions, TableOptions
from aam.study.given import read_chosen_ids
from aam.study.reading import read_samples
from aam.study.study import Study
from aam.study.targets import RegressionTarget, Target

log = logging.getLogger(__name__)


def read_new_samples(
    data: TableOptions,
    reads: ReadOptions,
    options: NewSampleOptions,
    needed: Sequence[str] = (),
    *,
    by_id: bool = False,
    groups: tuple[str | None, str | None] = (None, None),
) -> tuple[Study, Metadata | None]:
    """Read the chosen samples of a table as a model reads them, and metadata; `needed`: columns of them that the model takes;
    groups: the group column and the confounder column, in which samples need a value where they are named.

    Where none of these nor `where` needs metadata, samples may be without.
    """
    if needed and not options.metadata:
        raise InputError(f"`metadata` is missing: this model was trained with the columns {', '.join(needed)}")
    narrowed, (group_column, confounder_column) = bool(needed) or options.where is not None or any(groups), groups
    chosen = GroupOptions()
    if narrowed:
        words = options.missing_values
        chosen = GroupOptions(metadata=options.metadata, where=options.where, missing_values=words, group_column=group_column)
    only = None if options.samples is None else read_chosen_ids(options.samples)
    study = read_samples(data, reads, chosen, confounder_column=confounder_column, by_id=by_id, only=only)
    if options.min_reads is not None:
        problem = f"have fewer reads than `min_reads={options.min_reads}`"
        table = keep_samples(study.table, study.table.depths >= options.min_reads, problem, data.ignore_missing)
        study = study.with_samples(table)
    if options.metadata and not narrowed:
        return study, read_metadata(*options.metadata, missing_values=options.missing_values)
    return study, study.full_metadata


@dataclass(frozen=True, eq=False)
class KnownTruth:
    """What metadata say of the samples of a study. texts: object [N], NaN where they say nothing; rows: of samples whose value
    the model could predict, int64 [n]; values: theirs, numbers or class IDs [n].
    """

    texts: np.ndarray
    rows: np.ndarray
    values: np.ndarray

    def column(self, target: Target) -> np.ndarray:
        """A column of a table: numbers, NaN where there is none, or classes."""
        if target.classes:
            return self.texts
        numbers = np.full(len(self.texts), np.nan)
        numbers[self.rows] = self.values
        return numbers


def known_truth(metadata: Metadata | None, ids: Sequence[str], column: str, target: Target) -> KnownTruth | None:
    """What metadata say of the column that is predicted, for the samples `ids`; None where they do not have it."""
    if metadata is None:
        return None
    if column not in metadata.typed.columns:
        log.info("the metadata have no column %s, so predictions are not scored", column)
        return None
    as_written = isinstance(target, RegressionTarget) or target.as_written
    texts = metadata.as_known(column, target.classes, as_written=as_written).reindex(list(ids)).to_numpy(dtype=object)
    there = np.flatnonzero(pd.notna(texts))
    values = [_value(texts[row], target) for row in there]
    good = np.array([value is not None for value in values], dtype=bool)
    if not good.all():
        what = "are of classes that the model does not know" if target.classes else f"have no number in column {column}"
        wrong = [f"{ids[row]} ({texts[row]})" for row in there[~good]]
        log.warning("%s: predicted, not scored: %s", some_of(len(wrong), len(ids), what), first_few(wrong))
    if len(there) < len(ids):
        lacking = some_of(len(ids) - len(there), len(ids), f"have no value in column {column}")
        log.warning("%s: predicted, not scored", lacking)
    kept = [value for value in values if value is not None]
    return KnownTruth(texts, there[good], np.array(kept, dtype=np.int64 if target.classes else np.float64))


def _value(text: str, target: Target) -> float | None:
    if target.classes:
        return float(target.classes.index(text)) if text in target.classes else None
    return finite_number(text)
