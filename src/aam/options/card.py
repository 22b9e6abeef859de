"""What only people know of a model, for its card."""

from __future__ import annotations

from dataclasses import dataclass, fields

from aam.errors import InputError
from aam.options.checks import Options


@dataclass(frozen=True, kw_only=True)
class CardOptions(Options):
    """What is said of a model; None for what is not."""

    title: str | None = None
    """Title of the card. Default: what the model predicts."""
    license: str | None = None
    """Licence of the model, as SPDX and the Hugging Face hub call it (cc-by-4.0, bsd-3-clause), or any other text."""
    training_data: str | None = None
    """What the training samples are and where they come from: body site, hosts, studies, accessions, citation."""
    primers: str | None = None
    """Primers of the training samples, and so of samples to predict: 515F/806R."""
    region: str | None = None
    """What the primers amplify: 16S V4."""
    split_protocol: str | None = None
    """How samples were kept apart from those that scores are of, beyond what AAM knows."""
    intended_use: str | None = None
    """What the model is for, and what it is not for."""

    scores: str | None = None
    """Scores beyond those that AAM knows, with what they are of: a text, or a table in Markdown."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in fields(self):
            if (value := getattr(self, field.name)) is not None and not value.strip():
                raise InputError(f"`{field.name}` is empty: say it, or leave it out")
