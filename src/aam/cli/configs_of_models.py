"""What the commands are asked for that use a model on new samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from aam.cli import options as cli
from aam.cli.configs import ConfigFile
from aam.errors import InputError
from aam.options import DEFAULT_COMPUTE, NewSampleOptions, TableOptions, check_counts

EmbedLevel = Literal["sample", "asv"]
# How names of outputs may end.
PREDICTIONS, EMBEDDINGS = (".tsv", ".qza", ".h5ad"), (".tsv", ".npy", ".qza", ".h5ad")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class PredictConfig(ConfigFile):
    data: cli.TableIn
    trained: cli.TrainedIn
    compute: cli.ComputeIn = DEFAULT_COMPUTE
    chosen: cli.NewSamplesIn = NewSampleOptions()
    draws: Annotated[int, Parameter(group=cli.MODEL)] = 1
    """Rarefy each sample this many times, to the sampling depth of the model: the prediction is the mean, and `sd` in the file
    beside it the standard deviation over the draws (of classes, of the probability of the one predicted)."""
    output: Annotated[Path, Parameter(group=cli.OUTPUT)]
    """Predictions: .tsv, or .qza (QIIME 2). Class probabilities, 90 % prediction intervals, the novelty of each sample, and where
    metadata hold it the truth and scores, go into files beside it. Or .h5ad (AnnData): all of that beside the table, in obs."""
    overwrite: Annotated[bool, Parameter(group=cli.OUTPUT)] = False
    """Replace an existing output."""

    def __post_init__(self) -> None:
        check_counts(self, "draws")
        _check_annotated(self.output, self.data)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class EmbedConfig(ConfigFile):
    data: cli.TableIn
    trained: cli.TrainedIn
    compute: cli.ComputeIn = DEFAULT_COMPUTE
    chosen: cli.NewSamplesIn = NewSampleOptions()
    level: Annotated[EmbedLevel, Parameter(group=cli.OUTPUT)] = "sample"
    """One vector per sample, or one per ASV of the table."""
    space: Annotated[str | None, Parameter(group=cli.OUTPUT)] = None
    """What the encoder was taught that is written: a metric, whose distances are those between the vectors, or a quantity. Default:
    the metric that came first in `encoder_type`."""
    output: Annotated[Path, Parameter(group=cli.OUTPUT)]
    """Embeddings: .tsv with IDs, .qza (QIIME 2), or .npy with the IDs in .ids.txt beside it. The novelty of samples goes into a
    file beside it. Or .h5ad (AnnData): the table with the embeddings in obsm (of ASVs in varm), novelty in obs."""
    distances: Annotated[Path | None, Parameter(group=cli.OUTPUT)] = None
    """Also write the Euclidean distances between the sample embeddings: .h5, .npy, .tsv (LSMat) or .qza (QIIME 2).
    The name of an `output` that ends in .h5ad: in its obsp."""
    ordination: Annotated[Path | None, Parameter(group=cli.OUTPUT)] = None
    """Also write their principal coordinates (PCoA): .txt, which EMPeror and EMPress read, or .qza (QIIME 2); and beside it a page
    (.html) whose points can be coloured by any column of `metadata`, and a picture (.svg)."""
    colour_by: Annotated[str | None, Parameter(group=cli.OUTPUT)] = None
    """Metadata column that colours the picture, and the page when it opens."""
    overwrite: Annotated[bool, Parameter(group=cli.OUTPUT)] = False
    """Replace an existing output."""

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
        _check_annotated(self.output, self.data)

    @property
    def is_annotated(self) -> bool:
        """Whether distances go into the output."""
        return self.output.suffix == ".h5ad" and self.distances == self.output


def _check_annotated(output: Path, data: TableOptions) -> None:
    if output.suffix == ".h5ad" and data.stream:
        raise InputError(f"`output={output}` with `stream`: it would hold the table, which is not in memory; name a .tsv")
