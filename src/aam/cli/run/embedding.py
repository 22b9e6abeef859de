"""The run of ``aam embed``: load, read, embed, write."""

from __future__ import annotations

import logging
from dataclasses import replace

from aam.cli.config_file import inputs_of
from aam.cli.configs import EMBEDDINGS, EmbedConfig
from aam.compute import check_compute
from aam.disk.places import check_output_file
from aam.distances.files import FORMATS
from aam.errors import InputError
from aam.options import GroupOptions
from aam.parallel.collectives import meet
from aam.saved.embeddings import write_embedding_distances, write_embeddings
from aam.saved.load import load_encoder
from aam.saved.predictions import beside, warn_of_novelty, write_novelty
from aam.study.new_samples import read_new_samples
from aam.study.reading import read_samples

log = logging.getLogger(__name__)


def run_embedding(config: EmbedConfig) -> None:
    """Embed the samples or the ASVs of a table."""
    meet(config.compute.devices, config.compute.num_nodes)
    check_compute(config.compute)
    novelty = beside(config.output, "novelty")
    others = (novelty,) if config.level == "sample" else ()
    check_output_file(config.output, config.overwrite, EMBEDDINGS, others, inputs_of(config).values())
    if config.distances is not None:
        inputs = inputs_of(config).values()
        check_output_file(config.distances, config.overwrite, tuple(FORMATS), inputs=inputs, name="distances")
    fitted = load_encoder(config.trained.model, "model", config.compute, config.trained.batch_size)
    reads = fitted.info.reads
    head = fitted.head_of(config.space)
    if config.distances is not None and head is not None and not head.is_space:
        raise InputError(f"`distances` with `space={head.name}`: that is a number of each sample, and no distances; leave one out")
    if config.level == "asv":
        # ASVs are embedded whatever the depth of the samples they are in.
        study = read_samples(config.data, replace(reads, sampling_depth=None, rarefy_each_epoch=False), GroupOptions())
        ids, embeddings = study.table.feature_ids, fitted.embed_asvs(study)
    else:
        study, _ = read_new_samples(config.data, reads, config.chosen)
        ids, embeddings, measured = study.table.sample_ids, fitted.embed(study, space=config.space), fitted.measure(study)
        if measured is not None:
            warn_of_novelty(fitted, study, measured)
            write_novelty(novelty, ids, measured)
    write_embeddings(config.output, ids, embeddings)
    log.info("wrote %d embeddings of width %d to %s", len(embeddings), embeddings.shape[1], config.output)
    if config.level == "sample" and (space := config.space or fitted.info.space):
        log.info("space: %s", space)
    if config.distances is not None:
        write_embedding_distances(config.distances, ids, embeddings)
        log.info("wrote the distances between them to %s", config.distances)
