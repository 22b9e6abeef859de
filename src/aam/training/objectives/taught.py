"""All that an encoder is taught: one line for each kind, whose name is looked up here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
from torch import nn

from aam.data.dataset import Batch
from aam.distances.sameness import by_module, only_quantity, require_differences
from aam.errors import InputError
from aam.models.heads import Head
from aam.options import LabelFreeObjectives, PretrainObjectives, TreeOptions
from aam.parallel.collectives import world
from aam.study.given import Given, keep_given
from aam.study.study import Study
from aam.training.objectives import distances, quantities, taxa
from aam.training.objectives.distances import Distances
from aam.training.objectives.encoder_type import Asked, EncoderType, Kind
from aam.training.objectives.measured import OF_MEASURES

KINDS: Mapping[str, Kind] = {
    "unifrac": distances.UNIFRAC,
    "matrix": distances.MATRIX,
    "vector": quantities.VECTOR,
    "taxonomy": taxa.TAXONOMY,
    **OF_MEASURES,
}
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

    def fitted_to(self, probe: Batch, more: Callable[[], Batch], columns: np.ndarray) -> Taught:
        """The same, scaled to a batch of training samples, and with the trivial prediction of their ASVs, columns of the table.

        more: a larger batch, for a quantity that few samples have.
        """
        seen = more() if any(kind.same_in(probe) for kind in self.types) else probe
        return replace(self, types=tuple(kind.scaled_to(seen).knowing(columns) for kind in self.types))


def read_given(objectives: PretrainObjectives) -> dict[str, Given]:
    """What files say of samples, by encoder type. InputError for a file that cannot be read."""
    found = {}
    for name, _ in objectives.encoder_weights:
        if (read := KINDS[name].read) is not None:
            found[name] = read(getattr(objectives, name))
    return found


def with_given(study: Study, given: Mapping[str, Given], *, ignore_missing: bool) -> Study:
    """The samples that all files know; others are an InputError, or left out with `ignore_missing`, and distances with them."""
    for file in given.values():
        study = study.with_samples(keep_given(study.table, file, ignore_missing))
    return study


def taught_by(study: Study, objectives: LabelFreeObjectives, given: Mapping[str, Given] | None = None) -> Taught:
    """What an encoder is taught of a study; given: what files say, which are read here otherwise.

    InputError for what the study lacks, for files of other data, and for what is the same in all samples.
    """
    if not objectives.is_taught:
        return Taught()
    # Beside a target it is UniFrac.
    asked = objectives if isinstance(objectives, PretrainObjectives) else PretrainObjectives(penalty=objectives.penalty)
    given = read_given(asked) if given is None else given
    types: list[EncoderType] = []
    measures = {}
    for name, weight in asked.encoder_weights:
        kind, measure = KINDS[name].make(Asked(name, weight, study, getattr(asked, name, None), given.get(name)))
        types.append(kind)
        if measure is not None:
            _require_differences(kind, measure, study)
            measures[name] = measure
    return Taught(tuple(_alone(kind, types) for kind in types), measures)


def _alone(kind: EncoderType, types: Sequence[EncoderType]) -> EncoderType:
    """Distances between the embeddings themselves, where they are all that is taught of samples.

    Beside others they would have to be blind to all that the others need: UniFrac beside two others is learned less well so.
    """
    alone = isinstance(kind, Distances) and sum(other.head.of_samples for other in types) == 1
    return Distances(replace(kind.head, own=True), kind.weight) if alone else kind


def _require_differences(kind: EncoderType, measure: nn.Module, study: Study) -> None:
    """InputError for what is the same in all samples."""
    # The study's own distances were looked at when they were read.
    if measure is study.distance:
        return
    told, of = f"`encoder_type={kind.name}`: ", by_module(measure, study.table.counts)
    if kind.head.is_space:
        require_differences(of, len(study), told)
    elif (value := only_quantity(of, len(study))) is not None:
        raise InputError(f"{told}it is {value:g} in all samples: nothing can be learned from it; leave it out")


def check_types(objectives: PretrainObjectives) -> None:
    """InputError for an encoder type that there is not."""
    if unknown := [name for name, _ in objectives.encoder_weights if name not in KINDS]:
        raise InputError(f"`encoder_type={unknown[0]}`: must be one of {', '.join(KINDS)}")


def check_distances(objectives: PretrainObjectives, options: TreeOptions) -> None:
    """InputError for options of distances that are given (other than their defaults) and that nothing which is taught uses."""
    names = _names(objectives) if objectives.is_taught else []
    unifrac = "unifrac" in names
    from_tree = unifrac and options.unifrac_matrix is None
    generalized = "generalized" in names or (from_tree and options.unifrac_metric == "generalized")
    uses = {
        "tree": (tree_is_needed(objectives), "of what is measured on a tree"),
        "unifrac_matrix": (unifrac, "of `encoder_type=unifrac`"),
        "unifrac_metric": (from_tree, "of `encoder_type=unifrac` on a tree"),
        "alpha": (generalized, "of generalized UniFrac"),
    }
    for option in fields(options):
        used, what = uses[option.name]
        if not used and getattr(options, option.name) != option.default:
            learned = f"`encoder_type={','.join(objectives.encoder_type)}`" if names else "`penalty=0`"
            raise InputError(f"`{option.name}` is {what}, and nothing of that is learned with {learned}: leave it out")


def pairs_are_taught(objectives: LabelFreeObjectives) -> bool:
    """Whether distances between samples are taught, which takes two of them."""
    return objectives.is_taught and any(KINDS[name].between for name in _names(objectives))


def tree_is_needed(objectives: LabelFreeObjectives) -> bool:
    """Whether something is taught that is of a tree, or of a matrix in its place."""
    return objectives.is_taught and any(KINDS[name].on_tree for name in _names(objectives))


def _names(objectives: LabelFreeObjectives) -> list[str]:
    return [name for name, _ in objectives.encoder_weights] if isinstance(objectives, PretrainObjectives) else ["unifrac"]
