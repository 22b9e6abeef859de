"""What takes long to compute, kept on disk from run to run under a key of everything that it was computed from.

Nothing in an entry is executed when it is read, and several processes may share a folder.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from aam import __version__
from aam.options import CacheOptions
from aam.parallel.collectives import world

log = logging.getLogger(__name__)

ENDING = ".aamcache"
MAX_BYTES = 5 * 10**9
# Of the entries, and of what is computed for them: raise it when either changes. A release changes every key anyway.
FORMAT = 2

Parts = Iterable[str | bytes | np.ndarray]


def default_folder() -> Path | None:
    """``$XDG_CACHE_HOME/aam``, else ``~/.cache/aam``; None, with a warning, for a user without a home."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        # The XDG specification has relative paths ignored.
        return (base if base.is_absolute() else Path.home() / ".cache") / "aam"
    except RuntimeError:
        log.warning("nothing is cached: there is no home folder; give `cache_dir`")
        return None


def key_of(parts: Parts) -> str:
    """SHA-256 of the parts in order, as hex digits."""
    key = hashlib.sha256()
    for part in parts:
        content = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        kind = (part.dtype.str, part.shape) if isinstance(part, np.ndarray) else (type(part).__name__, len(content))
        # So that other parts which make up the same bytes are another key.
        key.update(f"{kind}\n".encode())
        key.update(np.ascontiguousarray(content).data if isinstance(content, np.ndarray) else content)
    return key.hexdigest()


class Cache:
    """Named arrays in files of `folder`, `max_bytes` together at most; without a folder all is computed each time."""

    def __init__(self, folder: Path | None, max_bytes: int = MAX_BYTES) -> None:
        self.folder, self.max_bytes = folder, max_bytes
        self._writable = True

    @classmethod
    def of(cls, options: CacheOptions) -> Cache:
        """The cache that a command's options ask for; none for several ranks, of which some might find an entry and others not."""
        return cls((options.cache_dir or default_folder()) if options.cache and world() == 1 else None)

    def arrays(self, what: str, parts: Parts, compute: Callable[[], Mapping[str, np.ndarray]]) -> Mapping[str, np.ndarray]:
        """The arrays that `compute` returns, from the cache where the same `parts` were computed before.

        `parts` are all that decides the result; `what` names it in messages. Warnings of the package that `compute` gave are given
        again on a hit. What `compute` raises is raised, and nothing kept. A folder that cannot be written is one warning.
        """
        if self.folder is None:
            return compute()
        path = self.folder / f"{what.replace(' ', '-')}-{key_of((str(FORMAT), __version__, *parts))}{ENDING}"
        found = self._read(path)
        if found is None:
            with _warnings_given() as messages:
                computed = compute()
            self._write(path, {**computed, "warnings": np.array(messages, dtype=np.str_)})
            return computed
        log.info("%s: from the cache in %s; `cache=False` computes afresh", what, self.folder)
        for message in found.pop("warnings"):
            log.warning("%s", message)
        return found

    def _read(self, path: Path) -> dict[str, np.ndarray] | None:
        try:
            content = path.read_bytes()
        except OSError:
            return None
        packed = memoryview(content)[32:]
        try:
            if hashlib.sha256(packed).digest() != content[:32]:
                raise ValueError("another checksum")
            with np.load(io.BytesIO(packed), allow_pickle=False) as archive:
                found = dict(archive)
            if "warnings" not in found:
                raise ValueError("no list of warnings")
        except (ValueError, LookupError, MemoryError, OSError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error):
            log.warning("cache: %s is damaged; it is dropped and computed again", path)
            with suppress(OSError):
                path.unlink()
            return None
        # The time of the last use, which eviction goes by. A folder that is only read from serves too.
        with suppress(OSError):
            os.utime(path)
        return found

    def _write(self, path: Path, arrays: Mapping[str, np.ndarray]) -> None:
        packed = io.BytesIO()
        np.savez(packed, **arrays)  # type: ignore[arg-type]
        # A checksum first: a zip alone would let some damage through to numpy.
        content = hashlib.sha256(packed.getbuffer()).digest() + packed.getvalue()
        if not self._writable or len(content) > self.max_bytes:
            return
        # Complete under a name of its own, then renamed: no process ever reads half an entry.
        partial = path.with_name(f"{path.stem}.{uuid.uuid4().hex}{ENDING}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
            partial.replace(path)
            self._evict(path.parent)
        except OSError as error:
            self._writable = False
            log.warning("cache: %s cannot be written (%s); going on without", path.parent, error.strerror)
        finally:
            with suppress(OSError):
                partial.unlink()

    def _evict(self, folder: Path) -> None:
        """Remove the entries used longest ago, and what broken writes left, until the rest is within the bound."""
        entries = []
        for entry in folder.glob(f"*{ENDING}"):
            with suppress(FileNotFoundError):  # evicted by another process
                status = entry.stat()
                entries.append((status.st_mtime_ns, status.st_size, entry))
        excess = sum(size for _, size, _ in entries) - self.max_bytes
        for _, size, entry in sorted(entries):
            if excess <= 0:
                return
            entry.unlink(missing_ok=True)
            excess -= size


@contextmanager
def _warnings_given() -> Iterator[list[str]]:
    """Collect the messages of the package's warnings."""
    messages: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("aam").addHandler(handler)
    try:
        yield messages
    finally:
        logging.getLogger("aam").removeHandler(handler)
