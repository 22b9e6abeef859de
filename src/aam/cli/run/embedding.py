"""The run of ``aam embed``: load, read, embed, write."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from aam.cli.config_file import inputs_of
from aam.cli.configs import EmbedConfig
from aam.cli.run.output_file import check_output_file
from aam.compute import check_compute
from aam.disk.writing import whole, write_text, write_tsv
from aam.options import GroupOptions
from aam.parallel.collectives import meet
from aam.parallel.ranks import by_first
from aam.saved.load import load_folder
from aam.study.reading import read_samples

log = logging.getLogger(__name__)


def run_embedding(config: EmbedConfig) -> None:
    """Embed the samples or the ASVs of a table."""
    meet(config.compute.devices, config.compute.num_nodes)
    check_compute(config.compute)
    check_output_file(config.output, config.overwrite, (".tsv", ".npy"), inputs=inputs_of(config).values())
    fitted = load_folder(config.trained.model, "model", config.compute, config.trained.batch_size)
    reads = fitted.info.reads
    if config.level == "asv":
        # ASVs are embedded whatever the depth of the samples they are in.
        study = read_samples(config.data, replace(reads, sampling_depth=None, rarefy_each_epoch=False), GroupOptions())
        ids, embeddings = study.table.feature_ids, fitted.embed_asvs(study)
    else:
        study = read_samples(config.data, reads, GroupOptions())
        ids, embeddings = study.table.sample_ids, fitted.embed(study)
    write_embeddings(config.output, ids, embeddings)
    log.info("wrote %d embeddings of width %d to %s", *embeddings.shape, config.output)


@by_first
def write_embeddings(path: Path, ids: Sequence[str], embeddings: np.ndarray) -> None:
    """TSV with ids in the first column, as QIIME 2 metadata, or .npy float32 [N, D] with the ids in `<name>.ids.txt`."""
    if path.suffix == ".npy":
        write_text(path.with_suffix(".ids.txt"), "".join(f"{name}\n" for name in ids))
        with whole(path) as new:
            np.save(new, embeddings)
        return
    columns = [f"dim_{dimension}" for dimension in range(1, embeddings.shape[1] + 1)]
    write_tsv(path, pd.DataFrame(embeddings, index=pd.Index(ids, name="id"), columns=columns))
