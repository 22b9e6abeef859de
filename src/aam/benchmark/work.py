"""The work of a benchmark: each model in each fold, several at a time, kept on disk as soon as it is done."""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from aam.benchmark.asked import Asked, ask
from aam.benchmark.suite import Suite
from aam.disk.cache import key_of
from aam.disk.writing import whole
from aam.errors import InputError, LostWorker, one_line
from aam.options import CacheOptions
from aam.parallel.peak import taken
from aam.parallel.signals import leave_signals_to_parent
from aam.parallel.threads import on_one_core
from aam.progress import track

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Piece:
    """A model in a fold of a question, which learns from a share of its training groups; path: where the answer is kept."""

    question: str
    share: float
    fold: int
    model: str
    path: Path


@dataclass(frozen=True, eq=False)
class Answer:
    """What came of a piece: predictions of the held-out samples (numbers [n] or probabilities [n, K]), seconds and bytes of a fit
    and a prediction, and warnings on the way; or why it failed.
    """

    predicted: np.ndarray | None
    seconds: float = float("nan")
    memory: float = float("nan")
    notes: tuple[str, ...] = ()
    failed: str | None = None


@dataclass(frozen=True)
class Bench:
    """Where a benchmark works: the suite, its folder, and how many pieces at a time, each on one core: so its answer is the same
    whatever runs beside it; caching: of trees; place: where relative paths begin.
    """

    suite: Suite
    folder: Path
    jobs: int = 1
    caching: CacheOptions = CacheOptions()
    # Workers outlive a benchmark, and stay where the first one was run.
    place: Path = field(default_factory=Path.cwd)

    def ask(self, name: str, *, built: bool) -> Asked:
        """Read a question; built: whether a tree that it lacks is in the folder already."""
        suite, tree = self.suite, self.folder / "trees" / f"{in_files(name)}.nwk"
        return ask(suite.questions[name], suite.shares, suite.seed, tree, built=built, caching=self.caching)

    def pieces(self, name: str, asked: Asked, models: Sequence[str]) -> list[Piece]:
        """All work of a question, the same fold side by side."""
        return [
            Piece(name, share, fold, model, self._path(name, asked, share, fold, model))
            for share in self.suite.shares
            for fold in range(len(asked.folds[share]))
            for model in models
        ]

    def _path(self, name: str, asked: Asked, share: float, fold: int, model: str) -> Path:
        key = asked.key_of(share, fold, model, self.suite)
        return self.folder / "pieces" / in_files(name) / f"{in_files(model)}-{share:g}-{fold + 1}-{key[:16]}.npz"


def in_files(name: str) -> str:
    """A name as a part of names of files, of which two that differ stay two."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:40]
    return f"{plain}-{key_of([name])[:8]}"


def run_pieces(bench: Bench, pieces: Sequence[Piece]) -> dict[Piece, Answer]:
    """Answers to all of them; those that are kept are not made again. A failure is not kept: it is tried again next time."""
    open_pieces = [piece for piece in pieces if not piece.path.is_file()]
    if len(open_pieces) < len(pieces):
        log.info("%d of %d answers are there from an earlier run", len(pieces) - len(open_pieces), len(pieces))
    for folder in {piece.path.parent for piece in pieces}:
        folder.mkdir(parents=True, exist_ok=True)
    failed: dict[Piece, str] = {}
    for piece, why in track(_answers(bench, open_pieces), "Benchmark", len(open_pieces)):
        if why is not None:
            if not any((piece.question, piece.model) == (other.question, other.model) for other in failed):
                log.warning("%s: %s fails: %s", piece.question, piece.model, why)
            failed[piece] = why
    return {piece: Answer(None, failed=failed[piece]) if piece in failed else _load(piece.path) for piece in pieces}


def _answers(bench: Bench, pieces: Sequence[Piece]) -> Iterator[tuple[Piece, str | None]]:
    """Pieces as they are done, and why they failed, if they did."""
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    if min(bench.jobs, len(pieces)) <= 1:
        yield from (_answer(bench, piece) for piece in pieces)
        return
    with warnings.catch_warnings(), parallel_config(backend="loky", inner_max_num_threads=1):
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs")
        calls = (delayed(_answer)(bench, piece) for piece in pieces)
        # One at a time, so that a question stays in the memory of a worker for the next piece.
        running = Parallel(n_jobs=bench.jobs, batch_size=1, return_as="generator_unordered")(calls)
        try:
            yield from running
        except TerminatedWorkerError as error:
            lost = "a process was ended from outside, as where memory is short: take fewer `jobs`, and go on with `resume`"
            raise LostWorker(lost) from error


def _answer(bench: Bench, piece: Piece) -> tuple[Piece, str | None]:
    """Fit, predict and keep it; why it failed, if it did."""
    if multiprocessing.parent_process() is not None:
        leave_signals_to_parent()
        os.chdir(bench.place)
    with _heard():
        asked = bench.ask(piece.question, built=True)
    fold, posed = asked.folds[piece.share][piece.fold], asked.posed(piece.share, piece.fold)
    learner = asked.learners(bench.suite)[piece.model]

    def work() -> np.ndarray:
        return learner.fit(posed, fold.train).predict(asked.problem.study, fold.test)

    try:
        with _heard() as notes, on_one_core():
            predicted, seconds, memory = taken(work)
        wanted = asked.problem.target.trivial(asked.problem.truth[fold.train], len(fold.test)).shape
        if np.shape(predicted) != wanted:
            raise InputError(f"predictions of the shape {np.shape(predicted)}, where {wanted} is wanted")
        if not np.isfinite(predicted).all():
            raise InputError("a prediction is not finite")
    except InputError as error:
        return piece, one_line(error)
    with whole(piece.path) as new, new.open("wb") as file:
        np.savez(file, predicted=predicted, seconds=seconds, memory=memory, notes=np.array(notes, dtype=np.str_))
    return piece, None


@contextmanager
def _heard() -> Iterator[list[str]]:
    """Warnings of the package within, each once, instead of in the log, where those of all folds would stand."""
    heard: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if (text := record.getMessage()) not in heard:
                heard.append(text)

    package = logging.getLogger("aam")
    handlers, package.handlers = package.handlers, [Listener(logging.WARNING)]
    propagate, package.propagate = package.propagate, False
    try:
        yield heard
    finally:
        package.handlers, package.propagate = handlers, propagate


def _load(path: Path) -> Answer:
    with np.load(path, allow_pickle=False) as kept:
        return Answer(kept["predicted"], float(kept["seconds"]), float(kept["memory"]), tuple(map(str, kept["notes"])))
