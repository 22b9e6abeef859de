"""The run of ``aam embed``: load, read, embed, write."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from aam.cli.configs_of_models import EMBEDDINGS, EmbedConfig
from aam.cli.run.batch import Batch, Output
from aam.compute import check_compute
from aam.data.metadata import column_of
from aam.distances.files import FORMATS
from aam.errors import InputError
from aam.options import GroupOptions
from aam.parallel.collectives import meet
from aam.saved.embeddings import Embedded, write_asv_embeddings
from aam.saved.load import load_encoder
from aam.saved.ordination_files import beside_ordination
from aam.saved.predictions import beside, warn_of_novelty
from aam.saved.transformer import FittedEncoder
from aam.study.new_samples import read_new_samples
from aam.study.reading import read_samples

log = logging.getLogger(__name__)


def run_embedding(config: EmbedConfig) -> None:
    """Embed the samples or the ASVs of each table."""
    meet(config.compute.devices, config.compute.num_nodes)
    check_compute(config.compute)
    batch = Batch(config, _outputs)
    fitted = load_encoder(config.trained.model, "model", config.compute, config.trained.batch_size)
    head = fitted.head_of(config.space)
    if config.distances is not None and head is not None and not head.is_space:
        raise InputError(f"`distances` with `space={head.name}`: that is a number of each sample, and no distances; leave one out")
    batch.run(lambda one: _embed_asvs(one, fitted) if one.level == "asv" else _embed_samples(one, fitted))


def _outputs(config: EmbedConfig) -> list[Output]:
    found = [Output(config.output, EMBEDDINGS, (beside(config.output, "novelty"),) if config.level == "sample" else ())]
    if config.distances is not None and not config.is_annotated:
        found.append(Output(config.distances, tuple(FORMATS), option="distances"))
    if (place := config.ordination) is not None:
        found.append(Output(place, (".txt", ".qza"), beside_ordination(place), "ordination"))
    return found


def _embed_asvs(config: EmbedConfig, fitted: FittedEncoder) -> dict[str, Any]:
    """Embed ASVs, whatever the depth of the samples they are in; what a list of tables says of that."""
    reads = replace(fitted.info.reads, sampling_depth=None, rarefy_each_epoch=False)
    study = read_samples(config.data.one, reads, GroupOptions())
    embeddings = fitted.embed_asvs(study)
    write_asv_embeddings(config.output, study, embeddings, config.trained.model.name)
    log.info("wrote %d embeddings of width %d to %s", len(embeddings), embeddings.shape[1], config.output)
    return {"asvs": len(embeddings), "dimensions": embeddings.shape[1]}


def _embed_samples(config: EmbedConfig, fitted: FittedEncoder) -> dict[str, Any]:
    """Embed samples, and write that with all that is asked for beside; what a list of tables says of that."""
    study, metadata = read_new_samples(config.data.one, fitted.info.reads, config.chosen)
    if config.colour_by is not None and metadata is not None:
        column_of(metadata.typed, config.colour_by)
    embeddings, measured = fitted.embed(study, space=config.space), fitted.measure(study)
    space = config.space or fitted.info.space
    found = Embedded(study, metadata, embeddings, measured, space, config.trained.model.name)
    # What it can refuse, it does before anything is written.
    if (place := config.ordination) is not None:
        found.write_ordination(place, f"Samples of {config.data.one.table.name} by their embeddings", config.colour_by)
        log.info("wrote their principal coordinates to %s, and %s", place, ", ".join(map(str, beside_ordination(place))))
    if measured is not None:
        warn_of_novelty(fitted, study, measured)
    found.write(config.output, config.distances)
    if space:
        log.info("space: %s", space)
    if config.distances is not None:
        log.info("wrote the distances between them to %s", config.distances)
    log.info("wrote %d embeddings of width %d to %s", len(embeddings), embeddings.shape[1], config.output)
    novel = {} if measured is None else {"out_of_distribution": int(measured.out_of_distribution.sum())}
    return {"samples": len(study), **novel, "dimensions": embeddings.shape[1]}
