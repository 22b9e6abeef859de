"""``aam embed``: write embeddings."""

from __future__ import annotations

from aam.cli.configs import EmbedConfig


def embed(config: EmbedConfig) -> None:
    """Write the embeddings of the samples or ASVs of a table."""
    from aam.cli.run.embedding import run_embedding

    run_embedding(config)
