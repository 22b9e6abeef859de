"""The run of ``aam embed``: load, read, embed, write."""

from __future__ import annotations

import logging
from dataclasses import replace

from aam.cli.config_file import inputs_of
from aam.cli.configs_of_models import EMBEDDINGS, EmbedConfig
from aam.compute import check_compute
from aam.data.metadata import column_of
from aam.disk.places import check_output_file
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
    """Embed the samples or the ASVs of a table."""
    meet(config.compute.devices, config.compute.num_nodes)
    check_compute(config.compute)
    _check_places(config)
    fitted = load_encoder(config.trained.model, "model", config.compute, config.trained.batch_size)
    head = fitted.head_of(config.space)
    if config.distances is not None and head is not None and not head.is_space:
        raise InputError(f"`distances` with `space={head.name}`: that is a number of each sample, and no distances; leave one out")
    if config.level == "asv":
        # ASVs are embedded whatever the depth of the samples they are in.
        reads = replace(fitted.info.reads, sampling_depth=None, rarefy_each_epoch=False)
        study = read_samples(config.data, reads, GroupOptions())
        embeddings = fitted.embed_asvs(study)
        write_asv_embeddings(config.output, study, embeddings, config.trained.model.name)
    else:
        embeddings = _embed_samples(config, fitted).embeddings
    log.info("wrote %d embeddings of width %d to %s", len(embeddings), embeddings.shape[1], config.output)


def _check_places(config: EmbedConfig) -> None:
    inputs = inputs_of(config).values()
    others = (beside(config.output, "novelty"),) if config.level == "sample" else ()
    check_output_file(config.output, config.overwrite, EMBEDDINGS, others, inputs)
    if config.distances is not None and not config.is_annotated:
        check_output_file(config.distances, config.overwrite, tuple(FORMATS), inputs=inputs, name="distances")
    if (place := config.ordination) is not None:
        check_output_file(place, config.overwrite, (".txt", ".qza"), beside_ordination(place), inputs, "ordination")


def _embed_samples(config: EmbedConfig, fitted: FittedEncoder) -> Embedded:
    """Embed samples, and write that with all that is asked for beside."""
    study, metadata = read_new_samples(config.data, fitted.info.reads, config.chosen)
    if config.colour_by is not None and metadata is not None:
        column_of(metadata.typed, config.colour_by)
    embeddings, measured = fitted.embed(study, space=config.space), fitted.measure(study)
    space = config.space or fitted.info.space
    found = Embedded(study, metadata, embeddings, measured, space, config.trained.model.name)
    # What it can refuse, it does before anything is written.
    if (place := config.ordination) is not None:
        found.write_ordination(place, f"Samples of {config.data.table.name} by their embeddings", config.colour_by)
        log.info("wrote their principal coordinates to %s, and %s", place, ", ".join(map(str, beside_ordination(place))))
    if measured is not None:
        warn_of_novelty(fitted, study, measured)
    found.write(config.output, config.distances)
    if space:
        log.info("space: %s", space)
    if config.distances is not None:
        log.info("wrote the distances between them to %s", config.distances)
    return found
