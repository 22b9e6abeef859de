"""IDs of samples and features: one rule for all formats. Blanks at both ends are left out, and each ID is there once."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Sequence

from aam.errors import InputError, first_few

log = logging.getLogger(__name__)

# What no file of ours could hold in one line: control characters, and halves of others.
_NO_LINE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_OWN = "every {} needs an id of its own"


def read_ids(where: str, kind: str, written: Sequence[str]) -> tuple[str, ...]:
    """IDs as a table has them -> without blanks (Unicode white space) at their ends, with one warning that says how many had some.

    kind: sample or feature. InputError as of `check_ids`, and for IDs that only blanks tell apart.
    """
    ids = tuple(name.strip() for name in written)
    if number := sum(name != before for name, before in zip(ids, written, strict=True)):
        spellings: dict[str, set[str]] = {}
        for name, before in zip(ids, written, strict=True):
            spellings.setdefault(name, set()).add(before)
        if equal := [before for same in spellings.values() if len(same) > 1 for before in sorted(same)]:
            raise InputError(
                f"{where}: {kind} ids that only blanks at their ends tell apart: {first_few(equal)}; {_OWN.format(kind)}"
            )
        log.warning(
            "%s: %s of %s %s IDs have blanks at their ends, which are left out", where, f"{number:,}", f"{len(ids):,}", kind
        )
    check_ids(where, kind, ids)
    return ids


def check_ids(where: str, kind: str, ids: Sequence[str]) -> None:
    """InputError for none, for an empty one, and for one that is there twice; `kind`: sample or feature."""
    if not ids:
        raise InputError(f"{where}: the table has no {kind}s")
    if "" in ids:
        raise InputError(f"{where}: {kind} {ids.index('') + 1} of {len(ids)} has no id; {_OWN.format(kind)}")
    if odd := [name for name in ids if _NO_LINE.search(name)]:
        raise InputError(f"{where}: {kind} ids that are no line of text: {first_few(odd)}")
    if duplicates := [name for name, times in Counter(ids).items() if times > 1]:
        raise InputError(f"{where}: duplicate {kind} ids: {first_few(duplicates)}; {_OWN.format(kind)}")
