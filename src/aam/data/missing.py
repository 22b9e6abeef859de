"""Words that people write where a value is missing: told from values, counted, and named with how to go on."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from aam.errors import counted, first_few

# Without blanks and case. The terms of INSDC that QIIME 2 reads as missing are not here: metadata are read without them.
_WORDS = frozenset(
    """
    na n/a n.a. <na> #n/a #na none null nil nan nat n.d. (blank) unknown unspecified undefined undetermined notavailable
    notapplicable notprovided notcollected notrecorded notreported notspecified notdetermined notknown nodata novalue missing
    missingdata restrictedaccess
    #value! #ref! #name? #null! #num! #div/0! - -- --- . .. ... ? ?? ??? _ * \u2013 \u2014
    """.split()  # noqa: SIM905 - sixty quotation marks are hard to read
)
# How INSDC writes its other terms: "missing: control sample".
_INSDC = re.compile(r"missing:.+")
# What a shell leaves as it is.
_PLAIN_WORD = re.compile(r"[\w./-]+")


def bare(text: str) -> str:
    """Text without case and blanks, as words for missing values are compared."""
    return "".join(text.casefold().split())


def words_of(given: Iterable[str]) -> dict[str, str]:
    """The words of `missing_values` as they are given, by the bare word; one text may hold several with commas between them."""
    parts = [part.strip() for text in given for part in text.split(",")]
    return {bare(part): part for part in parts if part}


def means_missing(text: str) -> bool:
    """Whether a cell looks like a word for "there is no value"."""
    plain = bare(text)
    return plain in _WORDS or _INSDC.fullmatch(plain) is not None


def suspects(by_text: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """Those of the texts, each with the IDs of its samples, that look like words for missing values."""
    found = {text: ids for text, ids in by_text.items() if means_missing(text)}
    if "+" in by_text:
        # A result is + or -.
        found.pop("-", None)
    return found


def by_text(texts: Iterable[object], ids: Iterable[str]) -> dict[str, list[str]]:
    """IDs of the samples that have each text, the most frequent first; None is left out."""
    found: dict[str, list[str]] = {}
    for text, sample_id in zip(texts, ids, strict=True):
        if isinstance(text, str):
            found.setdefault(text, []).append(sample_id)
    return dict(sorted(found.items(), key=lambda item: -len(item[1])))


def with_samples(found: Mapping[str, Sequence[str]], named: int = 3, limit: int = 20) -> str:
    """Texts with `named` of their samples: ``'NA' (6 samples: S1, S2, S3 ... (3 more)), '?' (1 sample: S9)``."""
    if len(found) > 5:
        named = min(named, 1) if len(found) <= 10 else 0
    parts = []
    for text, ids in found.items():
        parts.append(f"{text!r} ({counted(len(ids), 'sample')}{f': {first_few(ids, named)}' if named else ''})")
    return first_few(parts, limit)


def option_for(texts: Collection[str]) -> str:
    """The option that makes these texts missing, as messages name it; "" where all have commas, at which the option is parted."""
    words = ",".join(dict.fromkeys(text for text in texts if "," not in text))
    if not words:
        return ""
    return f"`missing_values={words if _PLAIN_WORD.fullmatch(words.replace(',', '')) else repr(words)}`"


def how_to_leave_out(texts: Collection[str]) -> str:
    """What to do where these texts mean that there is no value."""
    option, by_hand = option_for(texts), "leave such samples out by `where`"
    return f"give {option} and `ignore_missing`, or {by_hand}" if option else by_hand
