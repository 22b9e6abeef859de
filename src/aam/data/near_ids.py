"""Ids that are there but for how they are written: blanks, case, what R or a spreadsheet made of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection

from aam.errors import shown

_BLANKS = re.compile(r"\s")
_ANNOTATION = re.compile(r";\w+=.*", re.DOTALL)
_QUOTES = "\"'`\u00b4\u2018\u2019\u201c\u201d"
_R_FRONT = re.compile(r"^[Xx](?=[\d._])")
_NOT_OF_R = re.compile(r"[\W_]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", re.ASCII)


def near_ids(missing: Collection[str], there: Collection[str], where: str) -> str:
    """One clause in brackets, with a space before it, on how many of the ids that are `missing` look like one that is `there`, in
    what they differ, and an example; "" where none does. `where`: what holds the others, such as "the tree".
    """
    for key, kind in ((_loose, None), (_number, "how numbers are written (saved by another program?)")):
        wanted = {key(name) for name in missing} - {""}
        twins: dict[str, str] = {}
        for other in there if wanted else ():
            if (found := key(other)) in wanted:
                twins.setdefault(found, other)
        if alike := [name for name in missing if key(name) in twins]:
            first, twin = alike[0], twins[key(alike[0])]
            number = "1 looks like an id" if len(alike) == 1 else f"{len(alike)} look like ids"
            example = f"{_quoted(first)} is {_quoted(twin)} there"
            return f" ({number} of {where} but for {kind or _difference(first, twin)}: {example})"
    return ""


def _loose(text: str) -> str:
    """The same for ids that a program, or a person, may write one for the other."""
    plain = _visible(text).strip()
    plain = _ANNOTATION.sub("", plain).strip(_QUOTES).strip().casefold()
    return _NOT_OF_R.sub(".", _R_FRONT.sub("", plain))


def _number(text: str) -> str:
    plain = text.strip()
    return repr(float(plain)) if _NUMBER.fullmatch(plain) else ""


def _visible(text: str) -> str:
    """Without characters that do not show; those that are composed of others in one form, all blanks as one."""
    if text.isascii() and text.isprintable():
        return text
    seen = (character for character in unicodedata.normalize("NFC", text) if unicodedata.category(character) not in ("Cf", "Cc"))
    return _BLANKS.sub(" ", "".join(seen))


# What two ids differ in alone, the first that it is.
_KINDS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("blanks at an end", str.strip),
    ("how letters are composed", lambda text: unicodedata.normalize("NFC", text)),
    ("characters that do not show", _visible),
    ("upper and lower case", str.casefold),
    ("quotation marks", lambda text: text.strip(_QUOTES)),
    ("an ending such as ;size=", lambda text: _ANNOTATION.sub("", text)),
    ("_ for a blank", lambda text: text.replace(" ", "_")),
    ("an X in front, which R puts before digits", lambda text: _R_FRONT.sub("", text)),
    ("dots for other characters, as R writes names", lambda text: _NOT_OF_R.sub(".", _R_FRONT.sub("", text))),
)


def _difference(first: str, second: str) -> str:
    return next((name for name, fold in _KINDS if fold(first) == fold(second)), "more than one difference")


def _quoted(text: str) -> str:
    return seen if (seen := shown(text)) != text else repr(text)
