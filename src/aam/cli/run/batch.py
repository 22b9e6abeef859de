"""Several tables by one model: what ``aam predict`` and ``aam embed`` do for each, and the list of what came of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from aam import __version__
from aam.cli.config_file import deciding, inputs_of
from aam.cli.configs_of_models import OnTablesConfig
from aam.cli.spelling import spell
from aam.disk.batch import STAR, Index, Piece
from aam.disk.cache import key_of
from aam.disk.contents import contents_of
from aam.disk.places import check_output_file
from aam.errors import InputError

ConfigT = TypeVar("ConfigT", bound=OnTablesConfig)


class Output(NamedTuple):
    """A file that a command writes; suffixes: how it may end; beside: what may be written with it; option: that names it."""

    path: Path
    suffixes: tuple[str, ...]
    beside: tuple[Path, ...] = ()
    option: str = "output"


class Batch(Generic[ConfigT]):
    """The tables of a command, each with the names of its outputs; one, where no name has a star."""

    def __init__(self, config: ConfigT, outputs: Callable[[ConfigT], list[Output]]) -> None:
        """Outputs: of one table. InputError for outputs that cannot be written, before anything is read."""
        self.config, self.each = config, config.each
        self.outputs = [outputs(one) for one in self.each]
        self.index = Index(config.output) if STAR in str(config.output) else None
        inputs, writing = inputs_of(config).values(), config.writing
        known: dict[Path, Path] = {}
        for one, several in zip(self.each, self.outputs, strict=True):
            allowed = writing.overwrite or bool(writing.resume and self.index and self.index.has(one.output))
            for output in several:
                check_output_file(output.path, allowed, output.suffixes, output.beside, inputs, output.option)
                for file in (output.path, *output.beside):
                    other = self.index.path if self.index and self.index.path == file else known.setdefault(file, one.data.table[0])
                    if other != one.data.table[0]:
                        raise InputError(f"`table`: {one.data.table[0]} and {other} would both write {file}; rename one")

    def run(self, work: Callable[[ConfigT], dict[str, Any]]) -> None:
        """Do the work for each table, which says what a list of tables tells of it (`Index.work_through`)."""
        if self.index is None:
            work(self.each[0])
            return
        contents = contents_of(inputs_of(self.config))
        shared = (__version__, deciding(self.config), json.dumps({**contents, "table": None}))
        pieces = [
            Piece(one.data.table[0], one.output, tuple(output.path for output in outputs), key_of((*shared, content)))
            for one, outputs, content in zip(self.each, self.outputs, contents["table"], strict=True)
        ]
        self.index.work_through(pieces, lambda number: work(self.each[number]), resume=self.config.writing.resume, spell=spell)
