"""Conditions on metadata in SQLite's language, and what they compare that people do not expect."""

from __future__ import annotations

import itertools
import logging
import re
import sqlite3
from collections.abc import Iterator, Sequence

import pandas as pd

from aam.data.missing import by_text, option_for, suspects, with_samples
from aam.data.numbers import finite_number
from aam.errors import InputError, first_few, one_line, shown

log = logging.getLogger(__name__)

_TOKEN = re.compile(
    r"""(?P<text>'(?:[^']|'')*')|(?P<name>\[[^\]]*\]|"[^"]*"|`[^`]*`)|(?P<number>(?<![\w.])(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"""
    r"""|(?P<operator><=|>=|<>|!=|==|=|<|>)|(?P<word>\w+)|(?P<sign>[-+])|(?P<other>\S)"""
)
_DIGITS = re.compile(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*")
_ORDER = ("<", ">", "<=", ">=", "BETWEEN")
_COMPARED = ("=", "==", "<>", "!=", "IS", "<", ">", "<=", ">=")
_TURNED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


def select_where(typed: pd.DataFrame, where: str, written: pd.DataFrame | None = None) -> pd.DataFrame:
    """Keep the rows for which a condition in SQLite's language holds, as QIIME 2's ``--p-where``: ``[mom_child]='C'``.

    Numeric columns compare as numbers, ids and other columns as text; a missing value is NULL. Warns of comparisons of numbers with
    text; `written`: the cells as they are in the file. InputError when the condition is not valid or holds for no sample.
    """
    from skbio.metadata import SampleMetadata

    said = f"`where={' '.join(where.split())}`"
    columns = f"columns: {', '.join(map(shown, [str(typed.index.name), *typed.columns]))}"
    try:
        chosen = SampleMetadata(typed).get_ids(where)
    except (ValueError, sqlite3.Error, pd.errors.DatabaseError) as error:
        # skbio wraps the error of SQLite in advice of several lines.
        raise InputError(f"{said}: {one_line(error.__cause__ or error)}; {columns}") from error  # type: ignore[arg-type]
    for warning in dict.fromkeys(_warnings(where, typed, written)):
        log.warning("`where`: %s", warning)
    if not chosen:
        raise InputError(f"{said}: holds for none of the {len(typed)} samples of the metadata; {columns}")
    return typed.loc[typed.index.isin(chosen)]


def _warnings(where: str, typed: pd.DataFrame, written: pd.DataFrame | None) -> Iterator[str]:
    """What each comparison does that its writer may not expect, said of the first of its values."""
    for column, operator, values in _comparisons(where, typed):
        said = (_unexpected(column, operator, value, typed, written) for value in values)
        yield from [warning for warning in said if warning is not None][:1]


def _comparisons(where: str, typed: pd.DataFrame) -> Iterator[tuple[str, str, list[str]]]:
    """Column, operator and values of each comparison of a column with values, text with its quotation marks."""
    tokens = _without_brackets(_tokens(where, typed))
    for place, ((first, left), (_, between)) in enumerate(itertools.pairwise(tokens)):
        after = tokens[place + 2 : place + 5]
        if (first, between) == ("column", "IN"):
            inside = itertools.takewhile(lambda token: token != ("other", ")"), tokens[place + 2 :])
            yield left, "IN", [value for kind, value in inside if kind == "value"]
        elif first == "column" and between == "BETWEEN":
            yield left, between, [value for kind, value in after[:3:2] if kind == "value"]
        elif between in _COMPARED and after and {first, after[0][0]} == {"column", "value"}:
            right = after[0][1]
            yield (left, between, [right]) if first == "column" else (right, _TURNED.get(between, between), [left])


def _tokens(where: str, typed: pd.DataFrame) -> list[tuple[str, str]]:
    """Kinds and texts of what a condition is of: columns by their names, values, and all else; without NOT."""
    known = {name.casefold(): name for name in [str(typed.index.name), *typed.columns]}
    tokens: list[tuple[str, str]] = []
    for match in _TOKEN.finditer(where):
        kind, token = str(match.lastgroup), match[0]
        if kind == "number" and tokens and tokens[-1][0] == "sign":
            tokens[-1] = ("value", tokens[-1][1] + token)
            continue
        name = known.get((token[1:-1] if kind == "name" else token).casefold()) if kind in ("name", "word") else None
        if name is not None:
            tokens.append(("column", name))
        elif kind in ("text", "number") or token.startswith('"'):
            # What is in double quotes and is no column is text to SQLite.
            tokens.append(("value", f"'{token[1:-1]}'" if token.startswith('"') else token))
        elif token.upper() != "NOT":
            tokens.append((kind, token.upper()))
    return tokens


def _without_brackets(tokens: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The same without brackets around one column or value, but for those of a function or of IN."""
    found: list[tuple[str, str]] = []
    for token in tokens:
        found.append(token)
        while len(found) > 2 and (found[-3], found[-1]) == (("other", "("), ("other", ")")) and found[-2][0] in ("column", "value"):
            if len(found) > 3 and found[-4][0] == "word" and found[-4][1] not in ("AND", "OR", "BETWEEN", "IS"):
                break
            found[-3:] = [found[-2]]
    return found


def _unexpected(column: str, operator: str, value: str, typed: pd.DataFrame, written: pd.DataFrame | None) -> str | None:
    """What a comparison does that its writer may not expect, in a sentence; None where it does what it says."""
    said, text = f"{shown(column)} {operator} {value}", value.strip("'")
    quoted, digits, ordered = value.startswith("'"), _DIGITS.fullmatch(text) is not None, operator in _ORDER
    if column not in typed.columns or typed[column].dtype == object:
        if not digits or (quoted and not ordered):
            return None
        how = "in the order of text, where '10' comes before '9'" if ordered else f"as text: only what is written {text} is equal"
        kind = "text" if column in typed.columns else "the sample ID, which is text"
        return f'{shown(column)} is {kind}, so "{said}" compares {how}{_why_text(column, typed)}'
    if not quoted:
        return None
    if not digits:
        what = "every number comes before text" if ordered else "no number is equal to text"
        return f'{shown(column)} is a column of numbers, and "{said}" compares it with text: {what}'
    if not ordered and written is not None and column in written.columns:
        others = written[column][(typed[column] == float(text)) & (written[column] != text)].unique()
        if len(others):
            return (
                f'{shown(column)} is a column of numbers: "{said}" compares numbers: {first_few(map(repr, others))} is the same; '
                "#q2:types categorical in the metadata makes it text"
            )
    return None


def _why_text(column: str, typed: pd.DataFrame) -> str:
    """Which words for missing values alone make a column text, if that is so."""
    if column not in typed.columns:
        return ""
    values = typed[column].dropna()
    wrong = values[[finite_number(str(value)) is None for value in values]]
    found = by_text(wrong, wrong.index)
    if not found or len(wrong) == len(values) or len(suspects(found)) < len(found):
        return ""
    option = option_for(found)
    return f"; it is text because of {with_samples(found)}{f': {option} makes it a column of numbers' if option else ''}"
