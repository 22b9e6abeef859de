"""Load any model: one way in, whatever is in the folder."""

from __future__ import annotations

from pathlib import Path

from aam.errors import InputError, path_of
from aam.options import DEFAULT_COMPUTE, ComputeOptions
from aam.saved.fitted import Fitted
from aam.saved.folder import open_folder
from aam.saved.transformer import FittedEncoder, read_transformer


def load(folder: str | Path, *, compute: ComputeOptions = DEFAULT_COMPUTE, batch_size: int = 64) -> Fitted:
    """Load a fitted model: a transformer, an ensemble, or an encoder.

    Parameters
    ----------
    folder : str or Path
        A model folder, or the output folder of a run, which has one. A run of several targets has one in ``targets/NAME`` for
        each of them: load these.
    compute : ComputeOptions
        How a transformer is run; changes memory and speed only.
    batch_size : int
        Samples that a transformer takes at a time; changes memory and speed only.

    Returns
    -------
    Fitted
        It predicts, gives prediction intervals and novelty, embeds where it can, and saves itself.

    Raises
    ------
    InputError
        For a folder that is no complete model. Nothing in a folder is executed.

    Examples
    --------
    >>> import aam
    >>> model = aam.load("age-model")
    >>> study = aam.read_study("community/table.biom")
    >>> model.predict(study).shape, bool((model.novelty(study) > 1).all())
    ((60,), False)

    """
    return load_folder(path_of("folder", folder), "folder", compute, batch_size)


def load_folder(folder: Path, argument: str, compute: ComputeOptions = DEFAULT_COMPUTE, batch_size: int = 64) -> Fitted:
    """The same; argument: what the caller calls the folder, for messages."""
    found = open_folder(folder, argument)
    if found.config.get("ensemble") is None:
        return read_transformer(found, compute, batch_size)
    # scikit-learn and Lightning, which a transformer does not need to predict.
    from aam.saved.ensemble import read_ensemble

    return read_ensemble(found)


def load_encoder(folder: Path, argument: str, compute: ComputeOptions = DEFAULT_COMPUTE, batch_size: int = 64) -> FittedEncoder:
    """Load an encoder, or the one in a transformer. InputError for an ensemble, which has none."""
    found = open_folder(folder, argument)
    if found.config.get("ensemble") is not None:
        raise InputError(
            f"`{argument}={folder}`: an ensemble, which has no encoder and no embeddings; "
            "give the output folder of pretrain, or of train with `recipe=transformer`"
        )
    return read_transformer(found, compute, batch_size)
