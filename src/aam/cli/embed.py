"""``aam embed``: write embeddings."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from aam.disk.writing import whole, write_text, write_tsv
from aam.options import DEFAULT_COMPUTE, OUTPUT, ComputeOptions, ConfigFile, TableOptions, TrainedModelOptions
from aam.parallel.ranks import by_first

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger(__name__)

EmbedLevel = Literal["sample", "asv"]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class EmbedConfig(ConfigFile):
    data: TableOptions
    trained: TrainedModelOptions
    compute: ComputeOptions = DEFAULT_COMPUTE
    level: Annotated[EmbedLevel, Parameter(group=OUTPUT)] = "sample"
    """One vector per sample, or one per ASV of the table."""
    output: Annotated[Path, Parameter(group=OUTPUT)]
    """Embeddings: .tsv with ids, or .npy with the ids in .ids.txt beside it."""
    overwrite: Annotated[bool, Parameter(group=OUTPUT)] = False
    """Replace an existing output."""


def embed(config: EmbedConfig) -> None:
    """Write the embeddings of the samples or ASVs of a table."""
    import numpy as np

    from aam.cli.config_file import inputs_of
    from aam.cli.run.folder import check_output_file
    from aam.compute import check_compute, default_device
    from aam.data.dataset import SampleDataset
    from aam.models.inference import TableSamples, embed_asvs, embed_samples
    from aam.parallel.collectives import meet
    from aam.saved.folder import load_model
    from aam.study.study import SEED, read_model_input

    meet(config.compute.devices, config.compute.num_nodes)
    check_compute(config.compute)
    check_output_file(config.output, config.overwrite, (".tsv", ".npy"), inputs=inputs_of(config).values())
    loaded = load_model(config.trained.model, compute=config.compute)
    encoder = loaded.encoder.to(default_device())
    # ASVs are embedded whatever the depth of the samples they are in.
    reads = replace(loaded.info.reads, sampling_depth=None) if config.level == "asv" else loaded.info.reads
    study = read_model_input(config.data, reads)
    table, tokens = study.table, study.asv_tokens
    if config.level == "asv":
        ids, embeddings = table.feature_ids, embed_asvs(encoder.asv_encoder, tokens).cpu().numpy()
    else:
        samples = TableSamples(SampleDataset(table, reads, SEED), tokens, np.arange(len(table.sample_ids)))
        ids, embeddings = table.sample_ids, embed_samples(encoder, samples, config.trained.batch_size)
    write_embeddings(config.output, ids, embeddings)
    log.info("wrote %d embeddings of width %d to %s", *embeddings.shape, config.output)


@by_first
def write_embeddings(path: Path, ids: Sequence[str], embeddings: np.ndarray) -> None:
    """TSV with ids in the first column, as QIIME 2 metadata, or .npy float32 [N, D] with the ids in `<name>.ids.txt`."""
    if path.suffix == ".npy":
        import numpy as np

        write_text(path.with_suffix(".ids.txt"), "".join(f"{name}\n" for name in ids))
        with whole(path) as new:
            np.save(new, embeddings)
        return
    import pandas as pd

    columns = [f"dim_{dimension}" for dimension in range(1, embeddings.shape[1] + 1)]
    write_tsv(path, pd.DataFrame(embeddings, index=pd.Index(ids, name="id"), columns=columns))
