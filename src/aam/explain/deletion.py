"""Explanations by deletion: what a model says of a sample without some of its ASVs."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from aam.errors import counted, first_few
from aam.explain.attributions import Attributions, Features, Reader
from aam.explain.begun import Begun
from aam.explain.made_up import read_all, read_samples
from aam.explain.places import Places

log = logging.getLogger(__name__)

# Standard errors over members.
_ERRORS = 2.0


def by_deletion(
    reader: Reader, features: Features, samples: np.ndarray, *, show: str = "", begun: Begun | None = None
) -> Attributions:
    """Take each feature out of each sample that has it: the change is the prediction of the whole sample less that without it.

    The reads of the other ASVs stay as they are, so the model sees the sample as a table without these ASVs would hold it: shares
    of the reads are taken of what is left, and add up to 1 again. Shares that do not would be of no sample that the model was
    trained on. So taking out an ASV that dominates a sample raises the shares of all others, which is part of its effect.

    Features that hold the same ASVs of a sample (a clade and its parent) are computed once. A feature that holds all ASVs of a
    sample has no value there, since nothing would be left; which these are is logged. low, high: the value +/- 2 standard errors of
    the weighted mean of members' own changes. samples: int64 [n], rows of the study; show: what a progress bar says, "" for none;
    begun: what is there from a time before.
    """
    samples, begun = np.asarray(samples, dtype=np.int64), begun or Begun()
    found = occurrences(reader.counts[samples], features)
    order = np.argsort(found.sample[found.first], kind="stable")
    # Those of one sample together: little of the table is looked at at a time.
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    first, which = found.first[order], place[found.which]
    whole = read_samples(reader, samples)
    sample, feature = found.sample[first], found.feature[first]
    value, half = (np.empty((len(first), len(reader.output_names))) for _ in range(2))

    def without(part: slice) -> tuple[sparse.csr_array, np.ndarray]:
        rows = samples[sample[part]]
        places = Places.of(reader.counts, rows)
        return places.only(~holds(features, feature[part][places.sample], places.column)), rows

    left = np.diff(reader.counts.indptr)[samples][sample] - found.taken[first]
    for part, said in read_all(reader, left, without, show, begun.fill(value, half)):
        value[part] = whole.outputs[sample[part]] - said.outputs
        half[part] = _ERRORS * standard_error(whole.members[:, sample[part]] - said.members, said.weights)
        begun.note(part.stop, value, half)
    value, half = value[which], half[which]
    said_of = (reader.output_names, reader.unit, samples, found.sample, found.feature)
    return Attributions("deletion", features, *said_of, value, value - half, value + half, whole.outputs)


@dataclass(frozen=True, eq=False)
class Occurrences:
    """Features in samples that have other ASVs too. sample, feature: int64 [K]; taken: int64 [K], how many ASVs of the sample the
    feature holds; first: int64 [D], of occurrences that hold different ASVs of a sample, and which of these each is, int64 [K].
    """

    sample: np.ndarray
    feature: np.ndarray
    taken: np.ndarray
    first: np.ndarray
    which: np.ndarray


def occurrences(counts: sparse.csr_array, features: Features) -> Occurrences:
    """The features in samples, CSR [n, M], sample after sample; those that hold all of a sample are left out, and counted in the
    log.
    """
    there, members = (sparse.csr_array(part.astype(bool).astype(np.int64)) for part in (counts, features.asvs.T))
    found = sparse.csr_array(there @ members)
    found.sort_indices()
    sample, feature = (part.astype(np.int64) for part in sparse.coo_array(found).coords)
    kept = found.data < np.diff(counts.indptr)[sample]
    if not kept.all():
        alone, often = np.unique(feature[~kept], return_counts=True)
        named = [f"{features.ids[alone[k]]} in {counted(int(often[k]), 'sample')}" for k in np.argsort(-often, kind="stable")]
        log.info("no value where nothing would be left without it, as all ASVs of a sample belong to it: %s", first_few(named))
    # Sets of ASVs are told apart by sums of random numbers of 64 bits, one for each ASV and for each sample.
    draws = np.random.default_rng(0)
    of_sample, of_asv = (draws.integers(2**64, size=size, dtype=np.uint64) for size in counts.shape)
    numbers = sparse.csr_array((np.repeat(of_asv, np.diff(members.indptr)), members.indices, members.indptr), shape=members.shape)
    key = sparse.csr_array(there.astype(np.uint64) @ numbers)
    key.sort_indices()
    held = key.data[kept] + of_sample[sample[kept]]
    _, first, which = np.unique(held, return_index=True, return_inverse=True)
    return Occurrences(sample[kept], feature[kept], found.data[kept], first, which)


def holds(features: Features, feature: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Whether features, int64 [T], hold the ASVs in these columns, int64 [T]: bool [T]."""
    owner = np.repeat(np.arange(features.asvs.shape[0]), np.diff(features.asvs.indptr))
    width = features.asvs.shape[1]
    # Sorted, as rows and columns are.
    pairs = owner * width + features.asvs.indices
    asked = feature * width + column
    place = np.minimum(np.searchsorted(pairs, asked), max(len(pairs) - 1, 0))
    return pairs[place] == asked if len(pairs) else np.zeros(len(asked), dtype=bool)


def standard_error(said: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Standard error of the weighted mean of what members say [E, ...]; nan for one member. weights: [E], adding up to 1."""
    squares = float(weights @ weights)
    if squares > 1 - 1e-9:
        return np.full(said.shape[1:], np.nan)
    middle = np.tensordot(weights, said, axes=1)
    # Unbiased for weights that say how much each counts, times what the mean of so many varies by.
    return np.sqrt(np.tensordot(weights, (said - middle) ** 2, axes=1) * squares / (1 - squares))
