"""``aam train``: a model that predicts a metadata column."""

from __future__ import annotations

from aam.cli.configs import TrainConfig


def train(config: TrainConfig) -> None:
    """Train a model that predicts a metadata column: a number, or a class with --classifier.

    By default an ensemble is fitted; --recipe transformer trains a transformer. The output folder serves predict, and that of a
    transformer embed.
    """
    from aam.cli.run.training import run_training

    run_training(config)
