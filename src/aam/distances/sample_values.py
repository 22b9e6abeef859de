"""A number of each sample, such as Faith PD, as a file: two columns, IDs and values, which QIIME 2 reads too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aam.data.ids import read_ids
from aam.data.metadata_files import ID_NAME, Cells, read_cells
from aam.data.near_ids import near_ids
from aam.data.numbers import finite_number
from aam.disk.qza import ALPHA_DIVERSITY, whole_or_artifact
from aam.errors import InputError, first_few, some_of


def write_sample_values(path: Path, name: str, values: np.ndarray, sample_ids: Sequence[str]) -> None:
    """Write values [N] as TSV, which QIIME 2 imports as ``SampleData[AlphaDiversity]`` and reads as metadata, or, where `path` ends
    in .qza, as such an artifact.

    name: of the column.
    """
    lines = zip(sample_ids, (np.format_float_positional(value, trim="-") for value in values), strict=True)
    text = f"{ID_NAME}\t{name}\n" + "".join(f"{sample_id}\t{value}\n" for sample_id, value in lines)
    with whole_or_artifact(path, ALPHA_DIVERSITY) as new:
        new.write_text(text, encoding="utf-8")


@dataclass(frozen=True, eq=False)
class SampleValues:
    """A number of each sample by id, as a file has them."""

    path: Path
    ids: Sequence[str]
    cells: Cells
    # What samples lack that are not in it.
    what = "value"

    def of(self, sample_ids: Sequence[str]) -> np.ndarray:
        """Values [N] in that order, float64.

        InputError for samples that have none, and for a value that is no finite number, which names its line.
        """
        places = {sample_id: place for place, sample_id in enumerate(self.ids)}
        if missing := [sample_id for sample_id in sample_ids if sample_id not in places]:
            near = near_ids(missing, tuple(places.keys() - set(sample_ids)), "the file")
            problem = f"{some_of(len(missing), len(sample_ids), 'have no value there')}: {first_few(missing)}"
            raise InputError(f"{self.path}: {problem}{near}; remove them")
        found = np.empty(len(sample_ids))
        for row, sample_id in enumerate(sample_ids):
            written = self.cells.rows[places[sample_id]][1]
            if (value := finite_number(written)) is None:
                where = f"line {self.cells.lines[places[sample_id]]}, column {self.cells.header[1]!r}, sample {sample_id}"
                raise InputError(f"{self.path}: {where}: {written!r} is no finite number")
            found[row] = value
        return found


def read_sample_values(path: Path, sample_ids: Sequence[str]) -> np.ndarray:
    """Values [N] of `sample_ids` in that order, float64, of a file that may hold more samples: see `open_sample_values`."""
    return open_sample_values(path).of(sample_ids)


def open_sample_values(path: Path) -> SampleValues:
    """The numbers in a file; they are checked when they are asked for.

    The file is TSV, CSV or a QIIME 2 artifact of two columns under a header: IDs, and a number of each. InputError for another
    layout, and for a sample that is there twice.
    """
    cells = read_cells(path)
    if len(cells.header) != 2:
        raise InputError(f"{path}: has {len(cells.header)} columns; it must have two, the IDs of samples and a number of each")
    return SampleValues(path, read_ids(str(path), "sample", [row[0] for row in cells.rows]), cells)
