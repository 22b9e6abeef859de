"""A model folder made ready to be shared: its card, with what only people know of the model."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from aam.disk.writing import write_text
from aam.errors import InputError, path_of
from aam.options import CardOptions
from aam.saved.card import card_text
from aam.saved.folder import CARD, open_folder, said_texts
from aam.saved.load import load_folder
from aam.saved.named import is_shipped, place_of

log = logging.getLogger(__name__)


def write_card(folder: str | Path, **said: str) -> Path:
    """Write the card of a model folder anew: a README.md that the Hugging Face hub reads, with what only people know.

    Samples, groups, lengths, scores and limits come from the folder. What is said here is kept in its ``card.json``, with what was
    said before; what nobody has said is "not stated". The card has no IDs of samples and no values of metadata, but for what is
    said here.

    Parameters
    ----------
    folder : str or Path
        A model folder, or the output folder of a run, which has one.
    **said : str
        The fields of `aam.options.CardOptions`: `title`, `license`, `training_data`, `primers`, `region`, `split_protocol`,
        `intended_use`, `scores`.

    Returns
    -------
    Path
        The card.

    Raises
    ------
    InputError
        For a folder that is no complete model, and for a text that is empty.

    Examples
    --------
    >>> import aam
    >>> card = aam.write_card("age-model", license="cc-by-4.0", primers="515F/806R", region="16S V4")
    >>> "- Primers: 515F/806R" in card.read_text()
    True

    """
    return write_said(path_of("folder", folder), "folder", CardOptions(**said))


def write_said(folder: Path, argument: str, said: CardOptions) -> Path:
    """The same; argument: what the caller calls the folder, for messages."""
    if is_shipped(folder):
        raise InputError(f"`{argument}={folder}`: comes with AAM, and its card stays as it is: {place_of(folder) / CARD}")
    fitted, found = load_folder(folder, argument), open_folder(folder, argument)
    whole = replace(fitted.info.said, **{name: value for name, value in vars(said).items() if value is not None})
    config = found.config
    card = card_text(replace(fitted.info, said=whole), fitted.known, config.get("ensemble"), config.get("aam_version", "0.1.0"))
    for name, text in (said_texts(whole) | {CARD: card}).items():
        write_text(found.path / name, text)
    unsaid = [name for name, value in vars(whole).items() if value is None and name not in ("title", "scores")]
    log.info("wrote %s%s", found.path / CARD, f"; not stated: {', '.join(f'`{name}`' for name in unsaid)}" if unsaid else "")
    return found.path / CARD
