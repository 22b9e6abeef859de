"""Input files as they come, and what a QIIME 2 artifact holds."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aam.data.kinds import kind_of_zip
from aam.errors import InputError, one_line

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
ZIP_SIGNATURE = b"PK\x03\x04"
GZIP_SIGNATURE = b"\x1f\x8b"
# Deflate makes at most 1,032 bytes of one; what is real makes ten of one, and what is small does no harm.
MOST_EXPANSION, HARMLESS = 200, 2**24
_METADATA_BYTES, _PIECE = 2**16, 2**20
# Of what a Mac packs beside it, there is no metadata.yaml.
_ABOUT = re.compile(r"[^/]+/metadata\.yaml")
_TYPE = re.compile(r"^type:[ \t]*(\S.*?)[ \t]*$", re.MULTILINE)


def read_file(path: Path) -> bytes:
    """Content of an input file, unpacked where it is a .gz. InputError when there is none, or it is broken or a bomb."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if not content.startswith(GZIP_SIGNATURE):
        return content
    most = max(HARMLESS, MOST_EXPANSION * len(content))
    # A table with few counts among very many samples may be packed tighter yet.
    large = (
        f"unpacks to more than {most / 1e6:.3g} MB, out of a .gz of {len(content) / 1e6:.3g} MB; if it is sound, gunzip it first"
    )
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
            return _pieces(packed.read, most, f"{path}: {large}")
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: broken gzip file ({one_line(error)}); is the file complete?") from error


def decode(content: bytes) -> str:
    """Text in UTF-8, or in UTF-16 with its mark (Excel's "Unicode text"); line ends of Windows and old Macs become line feeds.

    UnicodeDecodeError for anything else.
    """
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if wide else "utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def read_qza(content: bytes, path: Path, semantic_type: str, member: str) -> bytes:
    """One data file of a QIIME 2 artifact, which is a zip with everything below one folder named by a UUID.

    `semantic_type` is how its type must start, such as ``FeatureTable[Frequency]``: properties may follow. `member` is relative to
    the artifact's ``data/``. Nothing is extracted: what is read is looked up by its name, and is no larger than a real file of its
    size may be.
    """
    with _artifact(content, path, semantic_type.rstrip("[")) as (archive, root, found):
        if not found.startswith(semantic_type):
            raise InputError(_of_another_type(path, found, semantic_type.rstrip("[")))
        return _bounded(archive, f"{root}/data/{member}", path, max(HARMLESS, MOST_EXPANSION * len(content)))


def read_qza_ending(content: bytes, path: Path, semantic_types: tuple[str, ...], endings: tuple[str, ...], wanted: str) -> bytes:
    """The same of the one data file whose name ends in the first of `endings` that is there once; wanted: it in words."""
    with _artifact(content, path, wanted) as (archive, root, found):
        inside = [name for name in archive.namelist() if re.fullmatch(rf"{re.escape(root)}/data/[^/]+", name)]
        for ending in endings:
            held = [name for name in inside if name.endswith(ending)]
            if len(held) == 1 and found.startswith(semantic_types):
                return _bounded(archive, held[0], path, max(HARMLESS, MOST_EXPANSION * len(content)))
    raise InputError(f"{path}: a QIIME 2 artifact of type {found}, which holds no {wanted}")


@contextmanager
def _artifact(content: bytes, path: Path, wanted: str) -> Iterator[tuple[zipfile.ZipFile, str, str]]:
    """The archive of an artifact, the folder in it that holds all, and its type; what is wrong with it is one line."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            root = next((name.partition("/")[0] for name in names if _ABOUT.fullmatch(name)), None)
            if root is None:
                raise InputError(f"{path}: {kind_of_zip(names)}; not a QIIME 2 artifact of type {wanted}")
            found = _TYPE.search(_bounded(archive, f"{root}/metadata.yaml", path, _METADATA_BYTES).decode("utf-8"))
            if found is None:
                raise InputError(f"{path}: a QIIME 2 artifact without a type; is the file complete?")
            yield archive, root, found[1][:100]
    except InputError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, LookupError, ValueError, OSError, RuntimeError) as error:
        # Among them a password, an unknown compression, and text that is no UTF-8.
        raise InputError(f"{path}: not a QIIME 2 artifact, or a broken one ({one_line(error)}); is the file complete?") from error


def _bounded(archive: zipfile.ZipFile, name: str, path: Path, most: int) -> bytes:
    entry = archive.getinfo(name)
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is compressed in a way that QIIME 2 does not use")
    # What the entry says of its size may be untrue, and a whole read would believe it afterwards only.
    with archive.open(entry) as member:
        whole = path.stat().st_size / 1e6
        return _pieces(member.read, most, f"{path}: {name} is beyond {most / 1e6:.3g} MB, out of an artifact of {whole:.3g} MB")


def _pieces(read: Callable[[int], bytes], most: int, problem: str) -> bytes:
    """All of a packed file; InputError with `problem` for more than `most` bytes."""
    parts, size = [], 0
    while part := read(_PIECE):
        parts.append(part)
        size += len(part)
        if size > most:
            raise InputError(problem)
    return b"".join(parts)


def _of_another_type(path: Path, found: str, needed: str) -> str:
    if found == "Visualization":
        return f"{path}: a QIIME 2 visualization (.qzv), which holds pictures; give the artifact (.qza) of type {needed}"
    if found.startswith("FeatureTable[") and needed.startswith("FeatureTable["):
        return f"{path}: a QIIME 2 artifact of type {found}, where {needed} is needed: AAM needs counts of reads"
    return f"{path}: a QIIME 2 artifact of type {found}, where {needed} is needed"
