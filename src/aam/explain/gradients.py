"""Attributions by gradients: how much of each prediction every ASV carries, from a baseline on, and whether it all adds up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from scipy import sparse

from aam.ensemble.catalogue import SeenTable
from aam.ensemble.ensemble import Ensemble
from aam.ensemble.members import MemberName
from aam.errors import InputError
from aam.explain.attributions import Attributions, Features
from aam.explain.gated import GatedLevel, LevelViews, Sample, encoder_of
from aam.explain.integration import Integrated, integrate
from aam.explain.links import Outputs, of_mean, of_model, require_known, through
from aam.explain.nucleotides import TransformerSequences
from aam.explain.places import Places
from aam.explain.terms import MemberTerms, SeenPlaces, terms_of
from aam.options import ExplainBaseline
from aam.progress import track


@dataclass(frozen=True, eq=False)
class Gradients:
    """Attributions by gradients, and what they are worth.

    attributions: of each sample they add up to `attributions.predicted` less `start`; start: float64 [n, O], what is said of the
    baseline; baseline: "empty", the empty sample, or "average", the average of the samples at hand (a saved model does not keep its
    training samples); explained: members that have gradients, with the weights that they have in the ensemble, which add up to
    less than 1 where others have none: then `attributions.predicted` is what these say by themselves; steps: int64 [n], of the
    integration, 0 for exact terms; complete: bool [n], whether values add up to within 1 % of the difference; middle: the share of
    the members' weight that the ensemble itself counts (see `Combination`), while gradients are of the mean of all.
    """

    attributions: Attributions
    start: np.ndarray
    baseline: ExplainBaseline
    explained: dict[MemberName, float]
    steps: np.ndarray
    complete: np.ndarray
    middle: float = 1.0

    @property
    def weight(self) -> float:
        """Share of the model that is explained: 1 for a model of one piece."""
        share = sum(self.explained.values()) if self.explained else 1.0
        # Weights that add up to 1 need not do so to the last digit.
        return 1.0 if math.isclose(share, 1.0) else share

    def left_open(self, sample: int | None = None) -> str:
        """What gradients leave open of the whole model's prediction of one sample, or of any, in words; "" where they leave
        nothing.
        """
        complete = self.complete.all() if sample is None else self.complete[sample]
        causes = {
            "members without gradients": self.weight < 1,
            "middle instead of mean": self.middle < 1,
            "steps that do not add up": not complete,
        }
        return ", ".join(cause for cause, there in causes.items() if there)


def of_ensemble(
    ensemble: Ensemble,
    table: SeenTable,
    rows: np.ndarray,
    outputs: Outputs,
    ids: tuple[str, ...],
    baseline: ExplainBaseline = "empty",
    show: str = "",
) -> Gradients:
    """Attributions of the samples `rows` of a table, whose M ASVs are called `ids`. show: what a progress bar says, "" for none.

    InputError where no member that counts has gradients, and for class ensembles of version 0.1.0.
    """
    require_known(ensemble.combination.calibrations)
    places = SeenPlaces.in_table(table, rows)
    counted = {name: weight for name, weight in ensemble.weights.items() if weight > 0}
    found = {name: terms_of(ensemble.members[name], places, outputs.target, baseline, show) for name in counted}
    by_member: dict[MemberName, MemberTerms] = {name: terms for name, terms in found.items() if terms is not None}
    if not by_member:
        raise InputError("no member that counts in this ensemble has gradients: explain it by deletion")
    explained = {name: counted[name] for name in by_member}
    part = np.array(list(explained.values())) / sum(explained.values())
    link = of_mean(outputs.target, ensemble.combination.overall)
    start, end, terms = (
        np.tensordot(part, [getattr(one, name) for one in by_member.values()], 1) for name in ("start", "end", "terms")
    )
    value = through(link, start, end, terms, places.sample)
    alone = np.array([through(link, one.start, one.end, one.terms, places.sample) for one in by_member.values()])
    before, predicted = (link(torch.from_numpy(said)).numpy() for said in (start, end))
    attributions = _attributions(places, outputs, ids, value, (alone.min(axis=0), alone.max(axis=0)), predicted)
    steps = np.max([one.steps for one in by_member.values()], axis=0)
    complete = np.all([one.complete for one in by_member.values()], axis=0)
    return Gradients(attributions, before, baseline, explained, steps, complete, ensemble.combination.middle)


def of_transformer(
    sequences: TransformerSequences, rows: np.ndarray, ids: tuple[str, ...], baseline: ExplainBaseline = "empty", show: str = ""
) -> Gradients:
    """Attributions of the samples `rows` of the table of a transformer, whose M ASVs are called `ids`; the metadata that the model
    takes stay as they are. show: as for ensembles.
    """
    model, counts, outputs, design = sequences.model, sequences.counts, sequences.outputs, sequences.design
    level, places, device = encoder_of(model), Places.of(counts, rows), model.base_model.device
    given = torch.tensor(sequences.vectors, device=device)
    gated = [GatedLevel.of(level, given, Sample.of(counts, row, device)) for row in rows]
    stand_in = LevelViews.nothing(level)
    if baseline == "average":
        stand_in = LevelViews.mean([sample.views() for sample in gated])
    link = of_model(outputs.target)

    def said_of(number: int, gates: torch.Tensor) -> torch.Tensor:
        beside = None if design is None else torch.tensor(design[rows[number]], device=device).expand(len(gates), -1)
        return link(model.head(gated[number](gates, stand_in), beside).double())

    found: list[Integrated] = []
    for number in track(range(len(rows)), show, len(rows)):
        gates = torch.ones(len(gated[number].log_share), device=device)
        size = len(gates) * (len(gates) * level.pooling.heads + gated[number].entering.shape[1])
        found.append(integrate(partial(said_of, number), torch.zeros_like(gates), gates, size))
    value = np.concatenate([one.values for one in found])
    nothing = np.full_like(value, np.nan)
    attributions = _attributions(places, outputs, ids, value, (nothing, nothing), np.array([one.end for one in found]))
    start, steps = np.array([one.start for one in found]), np.array([one.steps for one in found])
    return Gradients(attributions, start, baseline, {}, steps, np.array([one.complete for one in found]))


def _attributions(
    places: Places,
    outputs: Outputs,
    ids: tuple[str, ...],
    value: np.ndarray,
    between: tuple[np.ndarray, np.ndarray],
    predicted: np.ndarray,
) -> Attributions:
    features = Features("asv", ids, sparse.eye_array(len(ids), dtype=bool, format="csr"))
    about = (features, outputs.names, outputs.unit, places.rows, places.sample, places.column)
    return Attributions("gradients", *about, value, *between, predicted)
