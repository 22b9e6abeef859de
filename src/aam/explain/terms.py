"""What each ASV of each sample adds to what a member of an ensemble says: exact for linear models and trees, else by gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy import sparse

from aam.compute import default_device
from aam.ensemble.catalogue import SeenTable
from aam.ensemble.kernels import KernelInputs, KernelModel
from aam.ensemble.linear import seen_by
from aam.ensemble.members import KernelMember, LinearMember, Member, NetworkMember, TreesMember
from aam.explain.gated import GatedSet, NetworkViews, Sample
from aam.explain.integration import FIRST_STEPS, MOST_STEPS, TOLERANCE, integrate
from aam.explain.links import Link, of_member, of_probabilities, sums, through
from aam.explain.places import Places
from aam.explain.trees import shapley_of_trees
from aam.models.set_networks import SetNetworks
from aam.options import ExplainBaseline
from aam.progress import track
from aam.study.targets import ClassTarget, Target


@dataclass(frozen=True, eq=False)
class SeenPlaces(Places):
    """Places in a table as the members of an ensemble see it."""

    table: SeenTable

    @classmethod
    def in_table(cls, table: SeenTable, rows: np.ndarray) -> SeenPlaces:
        """Of the samples `rows`."""
        places = Places.of(table.counts, rows)
        return cls(places.rows, places.sample, places.column, places.count, places.width, table)

    @cached_property
    def known(self) -> np.ndarray:
        """Which known ASV each is, int64 [T]; -1 for none."""
        return self.table.identity[self.column] - 1

    @cached_property
    def part(self) -> np.ndarray:
        """Of the reads that its known ASV has in the sample, the part of each, [T]: two ids of one sequence are one ASV."""
        key = self.sample * (self.table.known + 1) + self.known + 1
        total = np.bincount(key, weights=self.count, minlength=len(self.rows) * (self.table.known + 1))
        return self.count / total[key]

    @cached_property
    def known_shares(self) -> sparse.csr_array:
        """Shares of the known ASVs, CSR [n, known]."""
        return self.table.known_shares[self.rows]

    def spread(self, values: sparse.csr_array, weights: np.ndarray) -> np.ndarray:
        """Of a linear term of the known ASVs, values [n, known] times weights [known, K], what each ASV adds, [T, K]."""
        there = self.known >= 0
        found = np.zeros((len(self.sample), weights.shape[1]))
        value = np.asarray(values[self.sample[there], self.known[there]]).ravel() * self.part[there]
        found[there] = value[:, None] * weights[self.known[there]]
        return found

    def standing_in(self, terms: np.ndarray, baseline: np.ndarray) -> np.ndarray:
        """Terms [T, K] from a baseline of [K] instead of from nothing: each ASV takes the place of an equal part of it."""
        return terms - baseline / self.size[self.sample][:, None]


@dataclass(frozen=True, eq=False)
class MemberTerms:
    """What each ASV of each sample adds to what a member says, in units of what the mean of members is taken of.

    start, end: float64 [n, K], of the baseline and of the sample; terms: float64 [T, K], which add up to their difference;
    steps: int64 [n], of the integration, 0 for what is exact; complete: bool [n].
    """

    start: np.ndarray
    end: np.ndarray
    terms: np.ndarray
    steps: np.ndarray
    complete: np.ndarray

    @classmethod
    def exact(cls, start: np.ndarray, end: np.ndarray, terms: np.ndarray, places: SeenPlaces, link: Link) -> MemberTerms:
        """Of terms that add up to scores, from `start` [K], or [n, K] where covariates part samples from the beginning, to `end`
        [n, K], which are then seen through a link.
        """
        n = len(places.rows)
        begin = np.array(np.broadcast_to(start, end.shape))
        carried = through(link, begin, end, terms, places.sample)
        first, last = (link(torch.from_numpy(part)).numpy() for part in (begin, end))
        return cls(first, last, carried, np.zeros(n, dtype=np.int64), np.ones(n, dtype=bool))


def terms_of(
    members: Sequence[Member], places: SeenPlaces, target: Target, baseline: ExplainBaseline, show: str = ""
) -> MemberTerms | None:
    """Of the members of one name, whose mean counts; None where there is no such account: of medians of trees, and of networks of
    version 0.1.0.
    """
    first = members[0]
    if isinstance(first, LinearMember):
        return linear_terms(first, places, target, baseline)
    if isinstance(first, KernelMember):
        return kernel_terms(first.model, places, target, baseline)
    if isinstance(first, TreesMember):
        return None if first.leaves is not None else tree_terms(first, places, target, baseline)
    if all(isinstance(member, NetworkMember) for member in members):
        networks = SetNetworks.side_by_side([member.network() for member in members if isinstance(member, NetworkMember)])
        return network_terms(networks.eval(), places, target, baseline, show)
    return None


def linear_terms(member: LinearMember, places: SeenPlaces, target: Target, baseline: ExplainBaseline) -> MemberTerms:
    """Exact. Of presence: the weight of the ASV. Of log-ratios: how far its log share is above that of an absent ASV, times its
    weight less the mean weight; so absent ASVs add nothing, and an empty sample is where the model starts.
    """
    model, known = member.model, places.table.known
    weights = np.zeros((known, len(model.shift)))
    kept = sparse.csr_array(places.known_shares[:, model.kept])
    values = sparse.csr_array((np.ones(kept.nnz), kept.indices, kept.indptr), kept.shape)
    of_asvs, of_covariates = np.split(model.weights, [len(model.kept)])
    weights[model.kept] = of_asvs
    if member.view == "ratio":
        weights[model.kept] -= of_asvs.mean(axis=0)
        values.data = np.log(kept.data) - np.repeat(_floors(kept), np.diff(kept.indptr))
    spread_out = sparse.csr_array((values.data, model.kept[values.indices], values.indptr), (kept.shape[0], known))
    terms, start = places.spread(spread_out, weights), model.shift + places.table.design_of(places.rows) @ of_covariates
    if baseline == "average":
        mean = seen_by(member.view, places.known_shares, model.kept).mean(axis=0, dtype=np.float64) @ of_asvs
        terms, start = places.standing_in(terms, mean), start + mean
    end = start + sums(terms, places.sample, len(places.rows))
    return MemberTerms.exact(start, end, terms, places, of_member(target))


def _floors(kept: sparse.csr_array) -> np.ndarray:
    """Log of what an absent ASV counts as in each sample [n]: half of the smallest share."""
    smallest = [kept.data[slice(*kept.indptr[row : row + 2])].min(initial=1.0) for row in range(kept.shape[0])]
    return np.log(np.array(smallest) / 2)


def kernel_terms(model: KernelModel, places: SeenPlaces, target: Target, baseline: ExplainBaseline) -> MemberTerms:
    """Exact for the linear parts. The Gaussian of the mean sequence by integrated gradients on the line from the training samples'
    mean to the sample's: an empty sample has no mean sequence, so that one stands in for it.
    """
    inputs = KernelInputs.of(places.table).rows(places.rows)
    terms = places.spread(inputs.presence, model.by_presence) + places.spread(inputs.abundance, model.by_abundance)
    start = model.shift + inputs.design @ model.by_design
    if baseline == "average":
        mean = np.asarray(inputs.presence.mean(axis=0) @ model.by_presence + inputs.abundance.mean(axis=0) @ model.by_abundance)
        terms, start = places.standing_in(terms, mean.ravel()), start + mean.ravel()
    place = (inputs.place - model.place_mean) / model.place_spread
    slopes, steps, complete = _mean_slopes(model, place)
    vectors = (places.table.vectors[places.column] - model.place_mean) / model.place_spread / places.size[places.sample][:, None]
    terms = terms + np.einsum("tw,two->to", vectors, slopes[places.sample])
    start = start + model.smooth(np.zeros_like(place[:1]))[0]
    found = MemberTerms.exact(start, model.predict(inputs), terms, places, of_member(target))
    return MemberTerms(found.start, found.end, found.terms, steps, complete)


def _mean_slopes(model: KernelModel, place: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean slopes of the Gaussian part on the lines from 0 to scaled mean vectors [n, W]: [n, W, outputs], steps and whether they
    add up [n].
    """
    wanted = model.smooth(place) - model.smooth(np.zeros_like(place))
    steps = FIRST_STEPS
    while True:
        slopes = np.zeros((*place.shape, wanted.shape[1]))
        for node, weight in zip(*np.polynomial.legendre.leggauss(steps), strict=True):
            here = (node + 1) / 2 * place
            near = model.nearness(here)
            for output in range(wanted.shape[1]):
                pull = near * model.by_place[:, output]
                slope = pull @ model.landmarks - pull.sum(axis=1, keepdims=True) * here
                slopes[:, :, output] += weight / 2 * slope * 2 / (max(place.shape[1], 1) * model.reach)
        left = np.abs(np.einsum("nw,nwo->no", place, slopes) - wanted)
        complete = (left <= np.maximum(TOLERANCE * np.abs(wanted), 1e-9)).all(axis=1)
        if complete.all() or steps >= MOST_STEPS:
            return slopes, np.full(len(place), steps), complete
        steps *= 2


def tree_terms(member: TreesMember, places: SeenPlaces, target: Target, baseline: ExplainBaseline) -> MemberTerms:
    """Exact Shapley values of the sum of the trees."""
    shares = places.known_shares[:, member.kept].astype(np.float32).toarray() ** np.float32(member.power)
    reference = shares.mean(axis=0) if baseline == "average" else np.zeros(shares.shape[1], dtype=np.float32)
    # Covariates are the sample's own from the beginning: no part of the way.
    design = places.table.design_of(places.rows)
    whole = np.hstack([shares, design])
    before = np.hstack([np.broadcast_to(reference, shares.shape), design]) if design.shape[1] else reference
    values = shapley_of_trees(member.trees, whole, before)[:, : len(member.kept)]
    place = np.full(places.table.known + 1, -1)
    place[member.kept + 1] = np.arange(len(member.kept))
    feature = place[places.known + 1]
    terms = np.where(feature >= 0, places.part, 0.0)[:, None] * values[places.sample, feature]
    # Of ASVs that the average sample has and this one has not.
    absent = values.sum(axis=1) - sums(terms, places.sample, len(shares))
    terms = terms + (absent / np.maximum(places.size, 1)[:, None])[places.sample]
    start, end = member.trees.predict(np.atleast_2d(before)), member.trees.predict(whole)
    return MemberTerms.exact(start, end, terms, places, _of_trees(member, target))


def _of_trees(member: TreesMember, target: Target) -> Link:
    """Sums over trees -> what the mean of members is taken of."""
    if not isinstance(target, ClassTarget):
        return lambda said: said
    learned = torch.nn.functional.one_hot(torch.from_numpy(member.learned.astype(np.int64)), member.outputs).double()

    def link(said: torch.Tensor) -> torch.Tensor:
        if member.link == "none":
            return of_probabilities((said / said.sum(dim=-1, keepdim=True)) @ learned)
        scores = torch.cat([torch.zeros_like(said), said], dim=-1) if member.link == "sigmoid" else said
        return of_probabilities(scores.softmax(dim=-1) @ learned)

    return link


def network_terms(
    networks: SetNetworks, places: SeenPlaces, target: Target, baseline: ExplainBaseline, show: str = ""
) -> MemberTerms:
    """By integrated gradients of the mean of the networks, each ASV being faded in (`GatedSet`)."""
    device = default_device()
    networks.to(device).requires_grad_(requires_grad=False)
    counts = places.table.counts
    stand_in = NetworkViews.nothing(networks)
    if baseline == "average":
        views = [GatedSet.of(networks, places.table, Sample.of(counts, row, device), row).views() for row in places.rows]
        stand_in = NetworkViews.mean(views)
    classes = isinstance(target, ClassTarget)

    def mean(said: torch.Tensor) -> torch.Tensor:
        return of_probabilities(said.softmax(dim=-1).mean(dim=0)) if classes else said.mean(dim=0)

    found = []
    for row in track(places.rows, show, len(places.rows)):
        gated = GatedSet.of(networks, places.table, Sample.of(counts, row, device), row)
        gates = torch.ones(gated.values.shape[1], device=device)
        size = gated.values.numel()
        found.append(integrate(lambda g, gated=gated: mean(gated(g, stand_in)), torch.zeros_like(gates), gates, size))  # type: ignore[misc]
    return MemberTerms(
        np.array([one.start for one in found]),
        np.array([one.end for one in found]),
        np.concatenate([one.values for one in found]),
        np.array([one.steps for one in found]),
        np.array([one.complete for one in found]),
    )
