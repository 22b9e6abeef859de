"""All that an encoder is taught: one line for each kind, whose name is looked up here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from torch import nn

from aam.data.dataset import Batch
from aam.distances.registry import MEASURES
from aam.errors import InputError
from aam.models.heads import Head
from aam.options import LabelFreeObjectives, PretrainObjectives
from aam.parallel.collectives import world
from aam.study.study import Study
from aam.training.objectives import distances, quantities, taxa
from aam.training.objectives.distances import Distances
from aam.training.objectives.encoder_type import EncoderType
from aam.training.objectives.measured import measured

# What makes an encoder type of a study, with the files that were given, and what measures its truth in a batch; see `taught`.
Kind = Callable[[str, float, Study, PretrainObjectives], tuple[EncoderType, nn.Module | None]]
KINDS: Mapping[str, Kind] = {
    "unifrac": distances.unifrac,
    "matrix": distances.matrix,
    "vector": quantities.vector,
    "taxonomy": taxa.taught,
    **dict.fromkeys(MEASURES, measured),
}
_NOT_BETWEEN = {"taxonomy", "vector", *(name for name, measure in MEASURES.items() if not measure.pairs)}
_OF_TREE = {"unifrac", *(name for name, measure in MEASURES.items() if measure.on_tree)}
# How they are called in text.
_TITLES = {name: measure.title for name, measure in MEASURES.items()}
_TITLES |= {"unifrac": "UniFrac", "matrix": "distances of the matrix", "vector": "the vector's quantity"}
# UniFrac alone.
UNIFRAC = (Distances(Head("unifrac", own=True)),)


@dataclass(frozen=True, eq=False)
class Taught:
    """types: what is taught; measures: what gives the truth of samples, by the type's name."""

    types: tuple[EncoderType, ...] = ()
    measures: Mapping[str, nn.Module] = field(default_factory=dict)

    @property
    def in_batches(self) -> Mapping[str, nn.Module]:
        """What loaders measure, where a batch is all of a step."""
        return self.measures if world() == 1 else {}

    @property
    def of_ranks(self) -> Mapping[str, nn.Module]:
        """What steps measure, where the samples of several ranks come together there."""
        return {} if world() == 1 else self.measures

    @property
    def of_samples(self) -> bool:
        return any(kind.of_samples for kind in self.types)

    @property
    def of_asvs(self) -> bool:
        return not all(kind.of_samples for kind in self.types)

    @property
    def heads(self) -> tuple[Head, ...]:
        return tuple(kind.head for kind in self.types)

    def fitted_to(self, probe: Batch) -> Taught:
        """The same, scaled to a batch of training samples."""
        return replace(self, types=tuple(kind.fitted_to(probe) for kind in self.types))


def taught_by(study: Study, objectives: LabelFreeObjectives) -> Taught:
    """What an encoder is taught of a study. InputError for what the study lacks, and for files of other data."""
    if not objectives.is_taught:
        return Taught()
    # Beside a target it is UniFrac.
    asked = objectives if isinstance(objectives, PretrainObjectives) else PretrainObjectives(penalty=objectives.penalty)
    types: list[EncoderType] = []
    measures = {}
    for name, weight in asked.encoder_weights:
        kind, measure = KINDS[name](name, weight, study, asked)
        if isinstance(kind, Distances) and not any(isinstance(other, Distances) for other in types):
            kind = Distances(replace(kind.head, own=True), weight)
        types.append(kind)
        if measure is not None:
            measures[name] = measure
    return Taught(tuple(types), measures)


def check_types(objectives: PretrainObjectives) -> None:
    """InputError for an encoder type that there is not."""
    if unknown := [name for name, _ in objectives.encoder_weights if name not in KINDS]:
        raise InputError(f"`encoder_type={unknown[0]}`: must be one of {', '.join(KINDS)}")


def pairs_are_taught(objectives: LabelFreeObjectives) -> bool:
    """Whether distances between samples are taught, which takes two of them."""
    return objectives.is_taught and any(name not in _NOT_BETWEEN for name in _names(objectives))


def tree_is_needed(objectives: LabelFreeObjectives) -> bool:
    """Whether something is taught that is of a tree, or of a matrix in its place."""
    return objectives.is_taught and any(name in _OF_TREE for name in _names(objectives))


def title_of(name: str) -> str:
    """How an encoder type is called in text."""
    return _TITLES.get(name, name)


def _names(objectives: LabelFreeObjectives) -> list[str]:
    return [name for name, _ in objectives.encoder_weights] if isinstance(objectives, PretrainObjectives) else ["unifrac"]
