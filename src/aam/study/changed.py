"""Studies of changed samples: with other reads, or other sequences, than those of the samples that they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import sparse

from aam.augment.sample import Sample
from aam.data.sequences import Nucleotide
from aam.data.table import FeatureTable
from aam.study.study import Study

# By token; ambiguous letters are N.
_LETTERS = {Nucleotide.A: "A", Nucleotide.C: "C", Nucleotide.G: "G", Nucleotide.T: "T", Nucleotide.MASK: "N"}


def of_changed(study: Study, made: Sequence[Sample], ids: Sequence[str]) -> Study:
    """A study of changed samples alone, by these IDs: with the ASVs of the study in their places, changed sequences behind them,
    the metadata of the samples that they come from, and no distances.
    """
    width = study.counts.shape[1]
    place: dict[bytes, int] = {}
    columns = []
    for sample in made:
        own = sample.columns.copy()
        if sample.tokens is not None:
            changed = (sample.tokens != study.asv_tokens[own]).any(axis=1)
            for number in np.flatnonzero(changed):
                own[number] = width + place.setdefault(sample.tokens[number].tobytes(), len(place))
        columns.append(own)
    new = np.frombuffer(b"".join(place), dtype=np.uint8).reshape(len(place), study.asv_tokens.shape[1])
    ends = np.cumsum([0, *(len(own) for own in columns)])
    reads = np.concatenate([sample.counts for sample in made])
    counts = sparse.csr_array((reads, np.concatenate(columns), ends), shape=(len(made), width + len(place)))
    # Two ASVs of a sample may have become one.
    counts.sum_duplicates()
    parents = [int(sample.parents[0]) for sample in made]
    features = (*study.table.feature_ids, *(f"changed {number}" for number in range(len(place))))
    metadata, written = (
        None if table is None else table.iloc[parents].set_axis(list(ids), axis=0) for table in (study.metadata, study.written)
    )
    return replace(
        study,
        table=FeatureTable(counts, tuple(ids), features),
        sequences=None if study.sequences is None else (*study.sequences, *map(_text, new)),
        asv_tokens=np.concatenate([study.asv_tokens, new]),
        metadata=metadata,
        written=written,
        distance=None,
    )


def behind(study: Study, changed: Study) -> Study:
    """The study with changed samples (`of_changed`) behind its own."""
    now, width = study.counts, changed.counts.shape[1]
    wide = sparse.csr_array((now.data, now.indices, now.indptr), shape=(now.shape[0], width))
    counts = sparse.csr_array(sparse.vstack([wide, changed.counts], format="csr"))
    table = FeatureTable(counts, (*study.table.sample_ids, *changed.table.sample_ids), changed.table.feature_ids)
    metadata, written = (
        None if one is None or other is None else pd.concat([one, other])
        for one, other in ((study.metadata, changed.metadata), (study.written, changed.written))
    )
    return replace(changed, table=table, metadata=metadata, written=written)


def _text(tokens: np.ndarray) -> str:
    """The sequence of a row of tokens uint8 [1 + L]."""
    return "".join(_LETTERS[Nucleotide(token)] for token in tokens[1:] if token != Nucleotide.PAD)
