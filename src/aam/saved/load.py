"""Load any model: one way in, whatever is in the folder."""

from __future__ import annotations

from pathlib import Path

from aam.errors import InputError, path_of
from aam.options import DEFAULT_COMPUTE, ComputeOptions
from aam.saved.fitted import Fitted
from aam.saved.folder import open_folder
from aam.saved.named import folder_of, local_folder
from aam.saved.transformer import FittedEncoder, read_transformer


def load(folder: str | Path, *, compute: ComputeOptions = DEFAULT_COMPUTE, batch_size: int = 64) -> Fitted:
    """Load a fitted model: a transformer, an ensemble, or an encoder.

    Parameters
    ----------
    folder : str or Path
        A model folder, or the output folder of a run, which has one; or the name of a model that comes with AAM, where there is no
        folder of that name. A run of several targets has one in ``targets/NAME`` for each of them: load these.
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


def from_pretrained(
    path_or_name: str | Path,
    *,
    download: bool = False,
    revision: str | None = None,
    compute: ComputeOptions = DEFAULT_COMPUTE,
    batch_size: int = 64,
) -> Fitted:
    """Load a fitted model from a folder, or, where that is asked for, from the Hugging Face hub by its name.

    Parameters
    ----------
    path_or_name : str or Path
        A folder, or the name of a model that comes with AAM, opened as `aam.load` does; or, where there is neither, a model of the
        hub (``"OWNER/NAME"``).
    download : bool
        Fetch a model that is not on this disk, with huggingface_hub (``pip install 'attention-all-microbes[hub]'``): the files that
        a model folder has, and no others. Without it nothing is looked up anywhere.
    revision : str, optional
        Branch, tag or commit. Only a commit stays what it is; without one a warning names that which was fetched.
    compute, batch_size
        As in `aam.load`.

    Returns
    -------
    Fitted
        What `aam.load` gives.

    Raises
    ------
    InputError
        For a name that is not on this disk without `download`; where huggingface_hub is not installed, the hub cannot be reached or
        has no such model or revision; and for a folder that is no complete model. Nothing in a folder is executed.

    Examples
    --------
    >>> import aam
    >>> aam.from_pretrained("age-model").target.metadata_column
    'age'
    >>> try:
    ...     aam.from_pretrained("someone/age")
    ... except aam.InputError as error:
    ...     print(error)
    `path_or_name=someone/age`: no such folder; to fetch a model of this name from the hub, ask for it: `download`

    """
    folder = folder_of(path_or_name, "path_or_name", download=download, revision=revision)
    return load_folder(folder, "path_or_name", compute, batch_size)


def load_folder(folder: Path, argument: str, compute: ComputeOptions = DEFAULT_COMPUTE, batch_size: int = 64) -> Fitted:
    """The same; argument: what the caller calls the folder, for messages."""
    found = open_folder(local_folder(folder, argument), argument)
    if found.config.get("ensemble") is None:
        return read_transformer(found, compute, batch_size)
    # scikit-learn and Lightning, which a transformer does not need to predict.
    from aam.saved.ensemble import read_ensemble

    return read_ensemble(found)


def load_encoder(folder: Path, argument: str, compute: ComputeOptions = DEFAULT_COMPUTE, batch_size: int = 64) -> FittedEncoder:
    """Load an encoder, or the one in a transformer. InputError for an ensemble, which has none."""
    found = open_folder(local_folder(folder, argument), argument)
    if found.config.get("ensemble") is not None:
        raise InputError(
            f"`{argument}={folder}`: an ensemble, which has no encoder and no embeddings; "
            "give the output folder of pretrain, or of train with `recipe=transformer`"
        )
    return read_transformer(found, compute, batch_size)
