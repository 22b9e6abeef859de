"""What the commands are asked for that use a model on new samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from cyclopts import Parameter

from aam.cli import options as cli
from aam.cli.configs import ConfigFile
from aam.disk.batch import STAR, names_of, placed
from aam.errors import InputError, counted
from aam.options import DEFAULT_COMPUTE, NewSampleOptions, check_counts

EmbedLevel = Literal["sample", "asv"]
# What they write, by option.
PLACES = ("output", "distances", "ordination")
# How names of outputs may end.
PREDICTIONS, EMBEDDINGS = (".tsv", ".qza", ".h5ad"), (".tsv", ".npy", ".qza", ".h5ad")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class OnTablesConfig(ConfigFile):
    """What `predict` and `embed` share: a model, and new samples of one table or several."""

    data: cli.EachTableIn
    trained: cli.TrainedIn
    compute: cli.ComputeIn = DEFAULT_COMPUTE
    chosen: cli.NewSamplesIn = NewSampleOptions()
    output: Annotated[Path, Parameter(group=cli.OUTPUT)]
    writing: cli.WritingIn = cli.REFUSING

    @property
    def each(self) -> list[Self]:
        """The same of each table, with its name in the place of the star; itself, where there is none."""
        if STAR not in str(self.output):
            return [self]
        given = {name: place for name in PLACES if (place := getattr(self, name, None))}
        found = []
        for data, name in zip(self.data.each, names_of(self.data.table), strict=True):
            changed: dict[str, Any] = {option: placed(place, name) for option, place in given.items()}
            found.append(replace(self, data=data, writing=cli.REFUSING, **changed))
        return found

    def check_output(self) -> None:
        """InputError for an .h5ad of a table that is not in memory, and for one name for what several tables give."""
        if self.output.suffix == ".h5ad" and self.data.stream:
            raise InputError(f"`output={self.output}` with `stream`: it would hold the table, which is not in memory; name a .tsv")
        if self.writing.resume and STAR not in str(self.output):
            raise InputError("`resume` is for several tables, to an `output` with a * in its name; leave it out")
        for name in PLACES if len(self.data.table) > 1 or STAR in str(self.output) else ():
            if (place := getattr(self, name, None)) and STAR not in str(place):
                merge = ", or merge the tables (`more_tables`)" if name == "output" else ""
                put = f"put a * in it for the name of each ('{place.parent / STAR}{place.suffix or '.tsv'}'){merge}"
                raise InputError(f"`{name}={place}`: one name for {counted(len(self.data.table), 'table')}; {put}")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class PredictConfig(OnTablesConfig):
    draws: Annotated[int, Parameter(group=cli.MODEL)] = 1
    """Rarefy each sample this many times, to the sampling depth of the model: the prediction is the mean, and `sd` in the file
    beside it the standard deviation over the draws (of classes, of the probability of the one predicted)."""
    output: Annotated[Path, Parameter(group=cli.OUTPUT)]
    """Predictions: .tsv, or .qza (QIIME 2). Class probabilities, 90 % prediction intervals, the novelty of each sample, and where
    metadata hold it the truth and scores, go into files beside it. Or .h5ad (AnnData): all of that beside the table, in obs. A * in
    its name ('predicted/*.tsv') stands for the name of each table; tables.tsv in that folder has a line for each."""

    def __post_init__(self) -> None:
        check_counts(self, "draws")
        self.check_output()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class EmbedConfig(OnTablesConfig):
    level: Annotated[EmbedLevel, Parameter(group=cli.OUTPUT)] = "sample"
    """One vector per sample, or one per ASV of the table."""
    space: Annotated[str | None, Parameter(group=cli.OUTPUT)] = None
    """What the encoder was taught that is written: a metric, whose distances are those between the vectors, or a quantity. Default:
    the metric that came first in `encoder_type`."""
    output: Annotated[Path, Parameter(group=cli.OUTPUT)]
    """Embeddings: .tsv with IDs, .qza (QIIME 2), or .npy with the IDs in .ids.txt beside it. The novelty of samples goes into a
    file beside it. Or .h5ad (AnnData): the table with the embeddings in obsm (of ASVs in varm), novelty in obs. A * in its name
    ('embedded/*.tsv') stands for the name of each table; tables.tsv in that folder has a line for each."""
    distances: Annotated[Path | None, Parameter(group=cli.OUTPUT)] = None
    """Also write the Euclidean distances between the sample embeddings: .h5, .npy, .tsv (LSMat) or .qza (QIIME 2).
    The name of an `output` that ends in .h5ad: in its obsp."""
    ordination: Annotated[Path | None, Parameter(group=cli.OUTPUT)] = None
    """Also write their principal coordinates (PCoA): .txt, which EMPeror and EMPress read, or .qza (QIIME 2); and beside it a page
    (.html) whose points can be coloured by any column of `metadata`, and a picture (.svg)."""
    colour_by: Annotated[str | None, Parameter(group=cli.OUTPUT)] = None
    """Metadata column that colours the picture, and the page when it opens."""

    def __post_init__(self) -> None:
        of_samples = (self.distances, self.ordination, self.space, self.chosen != NewSampleOptions())
        if self.level == "asv" and any(of_samples):
            raise InputError(
                "`level=asv`: ASVs are embedded, whatever holds them; leave out `distances`, `ordination`, `space` and options of "
                "samples"
            )
        for name in ("distances", "ordination"):
            if self.is_annotated and name == "distances":
                continue
            if (place := getattr(self, name)) and place in (self.output, None if name == "distances" else self.distances):
                raise InputError(
                    f"`{name}={place}`: is the `{'output' if place == self.output else 'distances'}`, too; choose another name"
                )
        if self.colour_by and not (self.ordination and self.chosen.metadata):
            raise InputError(f"`colour_by={self.colour_by}`: needs `ordination`, and `metadata` that hold the column")
        self.check_output()

    @property
    def is_annotated(self) -> bool:
        """Whether distances go into the output."""
        return self.output.suffix == ".h5ad" and self.distances == self.output


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class CardConfig(ConfigFile):
    model: Annotated[Path, Parameter(group=cli.MODEL)]
    """Output folder of train or pretrain, or the model folder in it. Of a run of several targets, the folder of one of them."""
    said: cli.SaidIn = cli.NOTHING_SAID
