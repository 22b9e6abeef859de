"""Options as the command line shows them: sections of the help, and those that a run has and a library call has not."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from aam import options
from aam.disk.places import check_output_folder
from aam.errors import InputError

# It marks a folder as a run's. One that stopped at its input left no more than these.
LOG = "aam.log"
LEFT_BY_BAD_INPUT = (LOG, "config.yaml", "inputs.json", "tree.nwk")

# Sections of the help, in this order.
INPUT = Group("Input", sort_key=1)
DISTANCES = Group("Tree and distances", sort_key=2)
METADATA = Group("Metadata", sort_key=3)
MODEL = Group("Model", sort_key=4)
ENSEMBLE = Group("Ensemble", sort_key=5)
OBJECTIVES = Group("Objectives", sort_key=6)
TRAINING = Group("Training", sort_key=7)
COMPUTE = Group("Memory and speed", sort_key=8)
EXPLANATION = Group("Explanation", sort_key=9)
OUTPUT = Group("Output", sort_key=10)
TUNING = Group("Tuning", sort_key=3.5)


def _flat(section: Group) -> Parameter:
    """Every field of a dataclass is an option of its own, in a section."""
    return Parameter(name="*", group=section)


TableIn = Annotated[options.TableOptions, _flat(INPUT)]
EachTableIn = Annotated[options.EachTableOptions, _flat(INPUT)]
ReadsIn = Annotated[options.ReadOptions, _flat(INPUT)]
TreeIn = Annotated[options.TreeOptions, _flat(DISTANCES)]
GroupsIn = Annotated[options.GroupOptions, _flat(METADATA)]
SamplesIn = Annotated[options.SampleOptions, _flat(METADATA)]
NewSamplesIn = Annotated[options.NewSampleOptions, _flat(METADATA)]
PretrainSamplesIn = Annotated[options.PretrainSampleOptions, _flat(METADATA)]
TargetIn = Annotated[options.TargetOptions, _flat(METADATA)]
OneTargetIn = Annotated[options.OneTargetOptions, _flat(METADATA)]
FoldsIn = Annotated[options.FoldOptions, _flat(METADATA)]
ContestIn = Annotated[options.ContestOptions, _flat(MODEL)]
RobustnessIn = Annotated[options.RobustnessOptions, _flat(EXPLANATION)]
FoldPretrainIn = Annotated[options.FoldPretrainOptions, _flat(MODEL)]
ModelIn = Annotated[options.ModelOptions, _flat(MODEL)]
StartIn = Annotated[options.StartOptions, _flat(MODEL)]
EncoderIn = Annotated[options.EncoderOptions, _flat(MODEL)]
TuneIn = Annotated[options.TuneOptions, _flat(TUNING)]
TrainedIn = Annotated[options.TrainedModelOptions, _flat(MODEL)]
EnsembleIn = Annotated[options.EnsembleOptions, _flat(ENSEMBLE)]
PretrainObjectivesIn = Annotated[options.PretrainObjectives, _flat(OBJECTIVES)]
TrainObjectivesIn = Annotated[options.TrainObjectives, _flat(OBJECTIVES)]
SaidIn = Annotated[options.CardOptions, _flat(OUTPUT)]
NOTHING_SAID = options.CardOptions()
ExportIn = Annotated[options.ExportOptions, _flat(OUTPUT)]
PLAIN_EXPORT = options.ExportOptions()
ExplainIn = Annotated[options.ExplainOptions, _flat(EXPLANATION)]
FoldExplainIn = Annotated[options.FoldExplainOptions, _flat(EXPLANATION)]
AugmentIn = Annotated[options.AugmentOptions, _flat(TRAINING)]
FitIn = Annotated[options.FitOptions, _flat(TRAINING)]
TrainFitIn = Annotated[options.TrainFitOptions, _flat(TRAINING)]
EvaluateFitIn = Annotated[options.EvaluateFitOptions, _flat(TRAINING)]
ComputeIn = Annotated[options.ComputeOptions, _flat(COMPUTE)]
TrainComputeIn = Annotated[options.TrainComputeOptions, _flat(COMPUTE)]
TrackIn = Annotated[options.TrackOptions, _flat(OUTPUT)]
CacheIn = Annotated[options.CacheOptions, _flat(OUTPUT)]


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """The folder of a run."""

    output_dir: Path
    """Folder for everything the run writes."""
    overwrite: bool = False
    """Replace an output folder that holds an earlier run."""
    resume: bool = False
    """Continue from the last checkpoint in the output folder, or start where it has none yet. `aam explain` goes on from what it
    found by deletion, gradients and permutation, and does all else again."""

    def __post_init__(self) -> None:
        if self.overwrite and self.resume:
            raise InputError("`overwrite` and `resume` are both given: choose one")

    def check(self) -> set[str]:
        """The names of what the folder holds. InputError where it is not to be written to."""
        return check_output_folder(self.output_dir, LOG, LEFT_BY_BAD_INPUT, overwrite=self.overwrite, resume=self.resume)


OutputIn = Annotated[OutputOptions, _flat(OUTPUT)]


@dataclass(frozen=True, kw_only=True)
class WritingOptions:
    """What is done with an output that is there."""

    overwrite: bool = False
    """Replace an existing output."""
    resume: bool = False
    """Of several tables: leave out those whose output is there, from the same table, model and options."""

    def __post_init__(self) -> None:
        if self.overwrite and self.resume:
            raise InputError("`overwrite` and `resume` are both given: choose one")


WritingIn = Annotated[WritingOptions, _flat(OUTPUT)]
REFUSING = WritingOptions()


def names_of(*kinds: type[Any]) -> frozenset[str]:
    """Names of the options of some dataclasses."""
    return frozenset(field.name for kind in kinds for field in fields(kind))
