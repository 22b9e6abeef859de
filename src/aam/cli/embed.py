"""``aam embed``: write embeddings."""

from __future__ import annotations

from aam.cli.config_file import inputs_of
from aam.cli.configs_of_models import EMBEDDINGS, EmbedConfig
from aam.disk.places import check_output_file


def embed(config: EmbedConfig) -> None:
    """Write the embeddings of the samples or ASVs of a table, or of each of several."""
    for one in config.each:
        allowed = config.writing.overwrite or config.writing.resume
        check_output_file(one.output, allowed, EMBEDDINGS, inputs=inputs_of(config).values())
    from aam.cli.run.embedding import run_embedding

    run_embedding(config)
