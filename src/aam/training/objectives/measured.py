"""Any measure of `aam.distances.registry`: distances between samples, or a quantity of each."""

from __future__ import annotations

from torch import nn

from aam.distances.registry import MEASURES, batch_form
from aam.distances.unifrac import UniFrac
from aam.errors import InputError
from aam.models.heads import Head
from aam.training.objectives.distances import Distances
from aam.training.objectives.encoder_type import Asked, EncoderType, Kind
from aam.training.objectives.quantities import Quantity


def _measured(asked: Asked) -> tuple[EncoderType, nn.Module]:
    """The measure of that name, on the study's tree where it is of one."""
    name, study, measure = asked.name, asked.study, MEASURES[asked.name]
    unifrac = study.distance if isinstance(study.distance, UniFrac) else None
    if measure.on_tree and unifrac is None:
        raise InputError(f"`encoder_type={name}` is measured on a tree: give `tree`")
    phylogeny, alpha = (unifrac.phylogeny, unifrac.comparison.alpha) if unifrac is not None and measure.on_tree else (None, 0.5)
    kind = Distances(Head(name), asked.weight) if measure.pairs else Quantity(Head(name, 1), asked.weight)
    return kind, batch_form(name, study.table.counts.shape[1], phylogeny, alpha)


OF_MEASURES = {
    name: Kind(measure.title, _measured, between=measure.pairs, on_tree=measure.on_tree, best="mse")
    for name, measure in MEASURES.items()
}
