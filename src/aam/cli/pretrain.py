"""``aam pretrain``: an encoder from a table without labels."""

from __future__ import annotations

from aam.cli.configs import PretrainConfig


def pretrain(config: PretrainConfig) -> None:
    """Pretrain an encoder without labels: distances between samples (UniFrac or others) and masked nucleotides.

    The output folder serves train (--pretrained-encoder) and embed.
    """
    from aam.cli.run.pretraining import run_pretraining

    run_pretraining(config)
