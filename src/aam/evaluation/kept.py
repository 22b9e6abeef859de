"""Predictions of each fold, on disk, so that an interrupted run can be resumed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aam.disk.writing import whole, write_text
from aam.errors import InputError
from aam.evaluation.members import MembersInFold
from aam.saved.fitted import Fitted
from aam.study.folds import Fold
from aam.study.targets import Target

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KeptFolds:
    """What models predicted in each fold, in files of a folder, so that `resume` goes on where a run stopped; `key`: of the run."""

    folder: Path
    key: str

    def start(self) -> None:
        """Make the folder. InputError where it holds the folds of another run."""
        self.folder.mkdir(exist_ok=True)
        mark = self.folder / "key.txt"
        if mark.is_file() and mark.read_text(encoding="utf-8") != self.key:
            raise InputError(f"`resume`: {self.folder} is of other data or options; start afresh with `overwrite`")
        write_text(mark, self.key)

    def members(self, fold: Fold, target: Target, compute: Callable[[], MembersInFold]) -> MembersInFold:
        """What members of an ensemble say in a fold, kept, or computed and kept now; target: fitted to its training samples."""
        path = self.folder / f"{fold.repeat + 1}-{fold.number + 1}-members.npz"
        if path.is_file():
            return MembersInFold.load(path, target)
        found = compute()
        found.save(path)
        return found

    def model(self, fold: Fold) -> Path:
        """Where the model of a fold is, once it is kept (`keep_model`)."""
        return self.folder / f"{fold.repeat + 1}-{fold.number + 1}-model"

    def keep_model(self, fold: Fold, fit: Callable[[], Fitted]) -> None:
        """Save the model of a fold, where it is not there already."""
        if not self.model(fold).is_dir():
            fit().save(self.model(fold))

    def get(self, fold: Fold, name: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """Kept predictions, or computed and kept now. InputError, and nothing kept, for those that are not finite."""
        path = self.folder / f"{fold.repeat + 1}-{fold.number + 1}-{''.join(c if c.isalnum() else '_' for c in name)}.npy"
        if path.is_file():
            return np.load(path, allow_pickle=False)
        log.info("%s: %s", fold.name, name)
        predicted = compute()
        if not np.isfinite(predicted).all():
            raise InputError("a prediction is not finite")
        with whole(path) as new:
            np.save(new, predicted)
        return predicted
