"""Names of models: the one place where a name becomes a folder on this disk. Nothing is fetched unless that is asked for."""

from __future__ import annotations

import logging
import re
from pathlib import Path

from aam.errors import InputError, one_line, path_of
from aam.saved.folder import FILES

log = logging.getLogger(__name__)

# As the Hugging Face hub names a model.
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
# A commit, which stays what it is; a branch or a tag may move.
_COMMIT = re.compile(r"[0-9a-f]{40}")
# In a repository that is a model folder, or the output folder of a run.
_FETCHED = [f"{place}{name}" for place in ("", "model/") for name in FILES]


def folder_of(path_or_name: str | Path, argument: str, *, download: bool = False, revision: str | None = None) -> Path:
    """The folder that is meant: one on this disk, or what the Hugging Face hub has under a name (OWNER/NAME), if `download`.

    argument: what the caller calls it, for messages. InputError for a name that is not on this disk where no download is asked for,
    and for what the hub does not give.
    """
    folder = path_of(argument, path_or_name)
    if folder.exists():
        if revision is not None:
            raise InputError(f"`revision={revision}`: {folder} is on this disk, where a folder has no revisions; leave it out")
        return folder
    if not _NAME.fullmatch(name := str(path_or_name)):
        raise InputError(f"`{argument}={name}`: does not exist, and is no name of a model on a hub (OWNER/NAME); check the path")
    if not download:
        raise InputError(f"`{argument}={name}`: no such folder; to fetch a model of this name from the hub, ask for it: `download`")
    return _fetched(name, argument, revision)


def _fetched(name: str, argument: str, revision: str | None) -> Path:
    """Fetch the files that a model folder has, and no others: none of them can execute code."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError
    except ImportError as error:
        raise InputError("`download` needs huggingface_hub: pip install 'attention-all-microbes[hub]'") from error
    asked = f"`{argument}={name}`"
    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=_FETCHED))
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
