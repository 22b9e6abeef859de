"""Input files as they come, and what a QIIME 2 artifact holds."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from pathlib import Path

from aam.errors import InputError, one_line

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
ZIP_SIGNATURE = b"PK\x03\x04"
_GZIP_SIGNATURE = b"\x1f\x8b"
# Deflate makes at most 1,032 bytes of one; what is real makes ten of one, and what is small does no harm.
MOST_EXPANSION, HARMLESS = 200, 2**24
_METADATA_BYTES, _PIECE = 2**16, 2**20
_TYPE = re.compile(r"^type:[ \t]*(\S.*?)[ \t]*$", re.MULTILINE)


def read_file(path: Path) -> bytes:
    """Content of an input file; InputError when there is none, or it is compressed."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    if content.startswith(_GZIP_SIGNATURE):
        raise InputError(f"{path}: is compressed; gunzip it first")
    return content


def read_qza(content: bytes, path: Path, semantic_type: str, member: str) -> bytes:
    """One data file of a QIIME 2 artifact, which is a zip with everything below one folder named by a UUID.

    `semantic_type` is how its type must start, such as ``FeatureTable[Frequency]``: properties may follow. `member` is relative to
    the artifact's ``data/``. Nothing is extracted: what is read is looked up by its name, and is no larger than a real file of its
    size may be.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            root = archive.namelist()[0].partition("/")[0]
            found = _TYPE.search(_bounded(archive, f"{root}/metadata.yaml", path, _METADATA_BYTES).decode("utf-8"))
            if found is None:
                raise InputError(f"{path}: a QIIME 2 artifact without a type; is the file complete?")
            if not found[1].startswith(semantic_type):
                raise InputError(
                    f"{path}: a QIIME 2 artifact of type {found[1][:100]}, where {semantic_type.rstrip('[')} is needed"
                )
            return _bounded(archive, f"{root}/data/{member}", path, max(HARMLESS, MOST_EXPANSION * len(content)))
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
    parts, size = [], 0
    with archive.open(entry) as member:
        while part := member.read(_PIECE):
            parts.append(part)
            size += len(part)
            if size > most:
                whole = path.stat().st_size / 1e6
                raise InputError(f"{path}: {name} is beyond {most / 1e6:.3g} MB, out of an artifact of {whole:.3g} MB")
    return b"".join(parts)
