"""Samples as points in few axes, by the distances between their embeddings: principal coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from aam.data.metadata import Metadata, column_of
from aam.errors import InputError, counted

if TYPE_CHECKING:
    from skbio.stats.ordination import OrdinationResults

# Further ones hold next to nothing, and no program draws them.
AXES = 10
# Okabe and Ito's colours, which those who confuse red and green tell apart, and a few more; beyond, levels are grey.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7b5ea7", "#8c564b", "#7f9f00", "#d62246")
GREY = "#9aa4b0"
# From the least number, blue, to the largest, orange: all are seen on white and on black.
SCALE = ("#4a5fd0", "#2e9bb5", "#4fb06a", "#d0a92b", "#e2703a")


@dataclass(frozen=True, eq=False)
class Column:
    """What samples can be coloured by. values [N]: float64, NaN where missing, or object, None where missing."""

    name: str
    values: np.ndarray

    @property
    def is_number(self) -> bool:
        return self.values.dtype != object

    @property
    def levels(self) -> tuple[str, ...]:
        """Texts, the commonest first."""
        counts = pd.Series(self.values).value_counts().to_dict()
        return tuple(sorted(map(str, counts), key=lambda level: (-counts[level], level)))

    @property
    def known(self) -> int:
        """Samples that have a value."""
        return int(pd.notna(self.values).sum())


def ordinate(ids: Sequence[str], embeddings: np.ndarray) -> OrdinationResults:
    """Principal coordinates (PCoA) of the Euclidean distances between embeddings.

    They are the principal components of the embeddings themselves, so that no matrix of distances is needed, however many samples
    there are (Gower 1966, Biometrika 53:325).

    Parameters
    ----------
    ids : sequence of str
        IDs of the samples, N.
    embeddings : ndarray
        Embeddings [N, D], as `Fitted.embed` returns them.

    Returns
    -------
    skbio.stats.ordination.OrdinationResults
        What `skbio.stats.ordination.pcoa` returns of the distances, up to the signs of axes; the first ten axes, each with its
        share of all variance. `.write("ordination.txt")` writes it for EMPeror and EMPress.

    Raises
    ------
    InputError
        For fewer than two samples, and where all embeddings are the same.

    Examples
    --------
    >>> import numpy as np
    >>> from aam.saved.ordination import ordinate
    >>> found = ordinate(["a", "b", "c"], np.array([[0.0, 0.0], [0.0, 1.0], [0.0, 3.0]]))
    >>> [round(float(share), 3) for share in found.proportion_explained]
    [1.0]

    """
    from skbio.stats.ordination import OrdinationResults

    centred = embeddings.astype(np.float64)
    centred = centred - centred.mean(axis=0)
    variance = float((centred**2).sum())
    if len(centred) < 2 or variance <= 1e-12 * max(float((embeddings.astype(np.float64) ** 2).sum()), 1e-300):
        raise InputError(
            f"`ordination`: {counted(len(ids), 'sample')} whose embeddings are all the same have no axes; leave it out"
        )
    left, strength, right = np.linalg.svd(centred, full_matrices=False)
    axes = min(AXES, int((strength > 1e-7 * strength[0]).sum()))
    left, strength, right = left[:, :axes], strength[:axes], right[:axes]
    # A sign that does not depend on the machine.
    sign = np.where(right[np.arange(axes), np.abs(right).argmax(axis=1)] < 0, -1.0, 1.0)
    names = [f"PC{axis + 1}" for axis in range(axes)]
    return OrdinationResults(
        "PCoA",
        "Principal Coordinate Analysis",
        eigvals=pd.Series(strength**2, index=names),
        samples=pd.DataFrame(left * strength * sign, index=list(ids), columns=names),
        proportion_explained=pd.Series(strength**2 / variance, index=names),
    )


def columns_to_colour(
    ids: Sequence[str], metadata: Metadata | None, more: Mapping[str, np.ndarray], chosen: str | None = None
) -> list[Column]:
    """What samples can be coloured by: columns of their metadata, then `more`, by name; `chosen`, of the metadata, first.

    Columns that are the same in all samples, and texts that are another in each, tell nothing and are left out unless they are
    chosen. InputError for a chosen one that is not there.
    """
    found = [] if metadata is None else [_of_metadata(metadata, str(name), ids) for name in metadata.typed.columns]
    if chosen is not None and metadata is not None:
        column_of(metadata.typed, chosen)
    named = {column.name for column in found}
    found += [Column(name, _plain(values)) for name, values in more.items() if name not in named]
    kept = [column for column in found if column.name == chosen or _tells(column)]
    return sorted(kept, key=lambda column: column.name != chosen)


def _of_metadata(metadata: Metadata, name: str, ids: Sequence[str]) -> Column:
    values = metadata.typed[name].reindex(list(ids))
    if values.dtype == object or values.dtype.kind not in "fiu":
        values = metadata.texts(name).reindex(list(ids))
        return Column(name, np.array([None if pd.isna(value) else str(value) for value in values], dtype=object))
    return Column(name, values.to_numpy(dtype=np.float64))


def _plain(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind in "fiu":
        return values.astype(np.float64)
    said = np.where(values, "yes", "no") if values.dtype == bool else values
    return np.array([str(value) or None for value in said.tolist()], dtype=object)


def _tells(column: Column) -> bool:
    different = pd.Series(column.values).nunique()
    return different > 1 and (column.is_number or different < column.known)


def share_of(found: OrdinationResults, axis: int) -> str:
    """An axis as pictures name it: ``PC1 (43.2 %)``."""
    return f"{found.samples.columns[axis]} ({100 * found.proportion_explained.iloc[axis]:.1f} %)"
