"""Many tables, each to files of its own: what these are called, and a list of what was made of each."""

from __future__ import annotations

import csv
import io
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aam.disk.writing import write_text
from aam.errors import InputError, first_few, one_line, shown, some_of
from aam.parallel.ranks import by_first

log = logging.getLogger(__name__)

# In the name of an output: where the name of each table goes.
STAR = "*"
INDEX = "tables.tsv"
_FIRST, _LAST = ("table", "file"), ("error", "made_from")


def names_of(tables: Sequence[Path]) -> list[str]:
    """A name for each table: that of its file without suffix; where two are called alike, with the folders in which they differ.

    InputError where that does not tell them apart.
    """
    bare = [_bare(table) for table in tables]
    if len({name.casefold() for name in bare}) == len(bare):
        return bare
    folders = [table.absolute().parent for table in tables]
    common = os.path.commonpath(folders)
    names = ["_".join((*folder.relative_to(common).parts, name)) for folder, name in zip(folders, bare, strict=True)]
    known: dict[str, Path] = {}
    for name, table in zip(names, tables, strict=True):
        if (other := known.setdefault(name.casefold(), table)) is not table:
            raise InputError(f"`table`: {shown(other)} and {shown(table)} would both be called {shown(name)}; rename one")
    return names


def _bare(table: Path) -> str:
    return Path(table.name.removesuffix(".gz")).stem


def placed(place: Path, name: str) -> Path:
    """An output with a name in the place of its stars."""
    return Path(str(place).replace(STAR, name))


@dataclass(frozen=True)
class Piece:
    """A table, and what is to be made of it: its output, that and others beside it, and the key of all that they are made from."""

    table: Path
    output: Path
    outputs: tuple[Path, ...]
    made_from: str


class Index:
    """tables.tsv, beside outputs with a star in their name: by the output of each table, a row of what is known of it."""

    def __init__(self, output: Path) -> None:
        """Of outputs in a place with a star. InputError for a file of this name that is another's."""
        above = Path(str(output).partition(STAR)[0] + STAR).parent
        self.path = above / INDEX
        self.rows: dict[str, dict[str, str]] = {}
        if self.path.exists():
            self.rows = {row["file"]: row for row in self._read()}

    def _read(self) -> list[dict[str, str]]:
        try:
            rows = csv.DictReader(io.StringIO(self.path.read_text(encoding="utf-8")), delimiter="\t")
            found = [{name: value for name, value in row.items() if value} for row in rows]
            known = set(rows.fieldnames or ())
        except (OSError, ValueError, csv.Error) as error:
            raise InputError(f"{self.path}: cannot be read ({error}); choose another folder for `output`") from error
        if not known.issuperset((*_FIRST, *_LAST)) or not all("file" in row and None not in row for row in found):
            raise InputError(f"{self.path}: is no list of tables that AAM wrote; choose another folder for `output`")
        return found

    def has(self, output: Path) -> bool:
        """Whether it has a row for an output."""
        return self._name(output) in self.rows

    def work_through(
        self,
        pieces: Sequence[Piece],
        work: Callable[[int], Mapping[str, object]],
        *,
        resume: bool = False,
        spell: Callable[[str], str] = str,
    ) -> None:
        """Do the work for each table, by its number, which says what is known of it then; with `resume` for those whose outputs are
        not there, or made from something else.

        A table that cannot be used costs a line, and the others are done: InputError at the end. spell: how the row tells of that.
        """
        failed = []
        for number, piece in enumerate(pieces):
            place = f"table {number + 1} of {len(pieces)}: {piece.table}"
            made = self.rows.get(self._name(piece.output), {}).get("made_from")
            if resume and made == piece.made_from and all(path.exists() for path in piece.outputs):
                log.info("%s is done", place)
                continue
            log.info("%s", place)
            try:
                self._put(piece, {**work(number), "made_from": piece.made_from})
            except InputError as error:
                log.warning("%s is left out: %s", piece.table, error)
                self._put(piece, {"error": spell(one_line(error))})
                failed.append(piece.table)
        log.info("wrote a line for each table to %s", self.path)
        if failed:
            what = some_of(len(failed), len(pieces), f"are left out, {self.path} says why", "table")
            raise InputError(f"{what}: {first_few(failed)}; all others are done (`resume` goes on with these)")

    def _name(self, output: Path) -> str:
        return output.relative_to(self.path.parent).as_posix()

    @by_first
    def _put(self, piece: Piece, facts: Mapping[str, object]) -> None:
        """Set the row of a table, and write the list."""
        name = self._name(piece.output)
        self.rows[name] = {"table": str(piece.table), "file": name, **{column: str(value) for column, value in facts.items()}}
        columns = dict.fromkeys(column for row in self.rows.values() for column in row if column not in (*_FIRST, *_LAST))
        text = io.StringIO()
        writer = csv.DictWriter(text, [*_FIRST, *columns, *_LAST], restval="", delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows.values())
        write_text(self.path, text.getvalue())
