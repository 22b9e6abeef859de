"""``aam card``: write the card of a model folder."""

from __future__ import annotations

from aam.cli.configs_of_models import CardConfig


def card(config: CardConfig) -> None:
    """Write the card (README.md) of a model folder, as the Hugging Face hub reads it, with what only people know of the model.

    What is said is kept in the folder. Nothing is sent anywhere.
    """
    from aam.saved.sharing import write_said

    write_said(config.model, "model", config.said)
