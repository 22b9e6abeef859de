"""What ASVs are called: a taxonomy, as QIIME 2 writes it or as a text of two columns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from aam.data.files import ZIP_SIGNATURE, decode, read_file, read_qza
from aam.data.kinds import kind_of, kind_of_undecoded
from aam.data.near_ids import near_ids
from aam.data.text_table import cut
from aam.errors import InputError, first_few, shown, some_of

_IDS = {"featureid", "feature", "id", "otuid", "otu", "asv", "asvid", "sequence"}
_TAXA = {"taxon", "taxonomy", "consensuslineage", "lineage"}
_LAYOUT = "its header must begin with 'Feature ID' and name a column 'Taxon' (tab-separated), as QIIME 2 writes it"
# A rank without a name, as ``g__``.
_NAMELESS = re.compile(r"[a-zA-Z]+_{1,2}")


def read_taxonomy(path: Path, feature_ids: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The ranks of each feature of a table, M of them in table order, from the highest: ``("d__Bacteria", "p__Firmicutes")``.

    path: QIIME 2 ``FeatureData[Taxonomy]`` (.qza), or TSV with the columns ``Feature ID`` and ``Taxon``, or ``#OTU ID`` and
    ``taxonomy``. Ranks are parted by semicolons; those without a name (``s__``) at the end are left out. InputError for a file that
    is none, for a feature that is there twice, and where features of the table are missing.
    """
    rows = _read(path)
    if missing := [name for name in feature_ids if name not in rows]:
        near = near_ids(missing, tuple(rows), "the taxonomy")
        lacks = some_of(len(missing), len(feature_ids), "are not in it", "ASV")
        raise InputError(f"`taxonomy={path}`: {lacks}: {first_few(missing, 3)}{near}; give the taxonomy of this table's ASVs")
    return tuple(ranks_of(rows[name]) for name in feature_ids)


def ranks_of(taxon: str) -> tuple[str, ...]:
    """``"d__Bacteria; p__Firmicutes; c__"`` -> ``("d__Bacteria", "p__Firmicutes")``; ``("Unassigned",)`` for nothing."""
    ranks = [rank.strip() for rank in taxon.split(";")]
    while ranks and (not ranks[-1] or _NAMELESS.fullmatch(ranks[-1])):
        ranks.pop()
    return tuple(ranks) or ("Unassigned",)


def _read(path: Path) -> dict[str, str]:
    """Taxon by feature id."""
    content = read_file(path)
    if content.startswith(ZIP_SIGNATURE):
        content = read_qza(content, path, "FeatureData[Taxonomy]", "taxonomy.tsv")
    try:
        lines = [line for line in decode(content).split("\n") if line.strip()]
    except UnicodeDecodeError as error:
        what = kind_of(content) or kind_of_undecoded(content)
        raise InputError(f"`taxonomy={path}`: {what}, no taxonomy: {_LAYOUT}") from error
    if not lines:
        raise InputError(f"`taxonomy={path}`: an empty file: {_LAYOUT}")
    header = [re.sub(r"[\W_]+", "", name).lower() for name in cut(lines[0], "\t")]
    at = next((place for place, name in enumerate(header) if name in _TAXA), None)
    if header[0] not in _IDS or at is None:
        about = f"{kind}, " if (kind := kind_of(content)) else ""
        raise InputError(f"`taxonomy={path}`: {about}no taxonomy: {_LAYOUT}")
    found: dict[str, str] = {}
    for cells in (cut(line, "\t") for line in lines[1:] if not line.startswith("#q2:")):
        name = cells[0].strip()
        if len(cells) <= at:
            raise InputError(f"`taxonomy={path}`: feature {shown(name)} has no taxon; is the file complete?")
        if name in found:
            raise InputError(f"`taxonomy={path}`: feature {shown(name)} is there twice; keep one line for each feature")
        found[name] = cells[at].strip()
    return found
