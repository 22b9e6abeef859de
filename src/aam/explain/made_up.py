"""Made-up samples: those of a study with some of their ASVs left out or their counts changed, read in parts of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
from scipy import sparse

from aam.explain.attributions import Reader, Said
from aam.explain.begun import Begun
from aam.explain.places import Places
from aam.parallel.threads import allotted_threads, in_threads
from aam.progress import track

# ASVs, each as often as samples have it, of the made-up samples that are read together.
_ASVS_AT_ONCE = 2**17
# Makes a made-up sample: its counts, and the row of the study that it stands for.
Make = Callable[[slice], tuple[sparse.csr_array, np.ndarray]]


def read_all(reader: Reader, sizes: np.ndarray, make: Make, show: str = "", start: int = 0) -> Iterator[tuple[slice, Said]]:
    """What a model says of made-up samples, part by part, in order, several parts at a time: the part and what is said of it.

    sizes: number of ASVs of each made-up sample [n], so that parts take alike memory; make: makes a part; show: what the progress
    bar says, "" for none; start: of which on.
    """
    # Cut alike wherever it starts, so that what goes on from the end of a part comes out as in one go.
    cuts = np.flatnonzero(np.diff(sizes.cumsum() // _ASVS_AT_ONCE)) + 1
    ends = [start, *cuts[cuts > start].tolist(), len(sizes)] if start < len(sizes) else []
    parts = [slice(start, end) for start, end in pairwise(ends)]
    said = in_threads(lambda part: reader.read(*make(part)), parts, allotted_threads())
    yield from zip(parts, track(said, show, len(parts)), strict=True)


def read_outputs(reader: Reader, sizes: np.ndarray, make: Make, show: str = "", begun: Begun | None = None) -> np.ndarray:
    """The same, of the whole model alone, float64 [n, O]; goes on from what is begun."""
    outputs, begun = np.empty((len(sizes), len(reader.output_names))), begun or Begun()
    for part, said in read_all(reader, sizes, make, show, begun.fill(outputs)):
        outputs[part] = said.outputs
        begun.note(part.stop, outputs)
    return outputs


def read_samples(reader: Reader, samples: np.ndarray) -> Said:
    """What a model says of the samples `samples` of its study as they are."""
    counts = reader.counts[samples]
    parts = [said for _, said in read_all(reader, np.diff(counts.indptr), lambda part: (counts[part], samples[part]))]
    outputs, members = np.concatenate([said.outputs for said in parts]), np.concatenate([said.members for said in parts], axis=1)
    return Said(outputs, members, parts[0].weights)


def read_kept(reader: Reader, rows: np.ndarray, kept: np.ndarray, show: str = "") -> np.ndarray:
    """What a model says, float64 [K, O], of the samples `rows` int64 [K] of its study, which may repeat, with those of their ASVs
    alone that are `kept`: bool, of one sample after the other, in the order of `reader.counts`.
    """
    starts = np.concatenate([[0], np.diff(reader.counts.indptr)[rows].cumsum()])
    sizes = np.add.reduceat(kept.astype(np.int64), starts[:-1]) if len(rows) else starts[:-1]

    def make(part: slice) -> tuple[sparse.csr_array, np.ndarray]:
        return Places.of(reader.counts, rows[part]).only(kept[starts[part.start] : starts[part.stop]]), rows[part]

    return read_outputs(reader, sizes, make, show)
