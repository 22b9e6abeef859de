"""Names of models: the one place where a name becomes a folder on this disk. Nothing is fetched unless that is asked for.

A name is, in this order: a path that exists; a model that comes with AAM, in its folder `shipped`; a model of a hub (OWNER/NAME),
where a download is asked for. So a folder of your own is never hidden by a model of AAM that is called alike; where it hides one,
that is said.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

from aam.disk.places import require_folder
from aam.errors import InputError, one_line, path_of

log = logging.getLogger(__name__)

# As the Hugging Face hub names a model.
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
# A commit, which stays what it is; a branch or a tag may move.
_COMMIT = re.compile(r"[0-9a-f]{40}")
# In the package: a model folder for each name.
SHIPPED = Path(__file__).parents[1] / "shipped"


def shipped() -> tuple[str, ...]:
    """Names of the models that come with AAM."""
    return tuple(sorted(config.parent.name for config in SHIPPED.glob("*/config.json")))


def is_shipped(path: Path) -> bool:
    """Whether a path to a model is the name of one that comes with AAM, and nothing of that name is on the disk."""
    return str(path) in shipped() and not path.exists()


def place_of(path: Path) -> Path:
    """The folder that a path to a model means: a model that comes with AAM, where it is the name of one, else the path itself."""
    return SHIPPED / path if is_shipped(path) else path


def local_folder(path: Path, argument: str) -> Path:
    """The same, for what is about to be read; argument: what the caller calls it, for messages.

    InputError for what does not exist; a warning where a folder hides a model that comes with AAM.
    """
    if str(path) in shipped() and path.exists():
        log.warning("`%s=%s`: the folder of this name is taken, and not the model that comes with AAM", argument, path)
    place = place_of(path)
    if not place.exists():
        raise InputError(f"`{argument}={path}`: does not exist; check the path to this folder{_names()}")
    return place


def require_model(argument: str, path: Path) -> None:
    """InputError unless there is a folder that can be read, of a model or of a run that has one."""
    require_folder(argument, local_folder(path, argument))


def _names() -> str:
    """What else may be given, for messages."""
    return f", or give the name of a model that comes with AAM: {', '.join(shipped())}" if shipped() else ""


def folder_of(path_or_name: str | Path, argument: str, *, download: bool = False, revision: str | None = None) -> Path:
    """The folder that is meant: one on this disk, a model that comes with AAM, or what the Hugging Face hub has under a name
    (OWNER/NAME), if `download`.

    argument: what the caller calls it, for messages. InputError for a name that is not on this disk where no download is asked for,
    and for what the hub does not give.
    """
    folder = path_of(argument, path_or_name)
    if folder.exists():
        if revision is not None:
            raise InputError(f"`revision={revision}`: {folder} is on this disk, where a folder has no revisions; leave it out")
        return folder
    if is_shipped(folder):
        if revision is not None:
            raise InputError(f"`revision={revision}`: {folder} comes with AAM, and has no revisions; leave it out")
        return place_of(folder)
    if not _NAME.fullmatch(name := str(path_or_name)):
        raise InputError(
            f"`{argument}={name}`: does not exist, and is no name of a model on a hub (OWNER/NAME); check the path{_names()}"
        )
    if not download:
        raise InputError(f"`{argument}={name}`: no such folder; to fetch a model of this name from the hub, ask for it: `download`")
    return _fetched(name, argument, revision)


def _fetched(name: str, argument: str, revision: str | None) -> Path:
    """Fetch the files that a model folder has, and no others: none of them can execute code."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

        # PyTorch, which a name does not need.
        from aam.saved.folder import FILES
    except ImportError as error:
        raise InputError("`download` needs huggingface_hub: pip install 'attention-all-microbes[hub]'") from error
    asked = f"`{argument}={name}`"
    # In a repository that is a model folder, or the output folder of a run.
    fetched = [f"{place}{file}" for place in ("", "model/") for file in FILES]
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=fetched))
    except RevisionNotFoundError as error:
        raise InputError(f"{asked}: the hub has no `revision={revision}` of it; give a branch, a tag or a commit") from error
    except RepositoryNotFoundError as error:
        raise InputError(f"{asked}: the hub has no such model, or it is private (hf auth login); check the name") from error
    # Whatever the library, its network and its cache raise: which that is differs from version to version.
    except Exception as error:
        raise InputError(f"{asked}: cannot be fetched from the hub ({type(error).__name__}: {one_line(error)})") from error
    if revision is None or not _COMMIT.fullmatch(revision):
        commit = folder.name
        log.warning("%s: commit %s, which may be another next time; to stay with it: `revision=%s`", name, commit, commit)
    return folder
