"""Parts of an explanation that are done, on disk, so that an interrupted one can be resumed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aam.disk.writing import whole, write_text
from aam.errors import InputError
from aam.explain.attributions import Attributions, Features
from aam.explain.begun import Begun
from aam.explain.gradients import Gradients
from aam.explain.permutation import PermutationImportance
from aam.scoring.measures import Measure

log = logging.getLogger(__name__)

_MARK = "key.txt"
Arrays = Mapping[str, np.ndarray]
_OF_ATTRIBUTIONS = ("samples", "sample", "feature", "value", "low", "high", "predicted")
_OF_GRADIENTS, _OF_PERMUTATION = ("start", "steps", "complete"), ("loss", "low", "high")


@dataclass(frozen=True)
class Kept:
    """What was computed, in files .npz of a folder (or nowhere, for None); key: of the model, the study and the options."""

    folder: Path | None
    key: str

    def check(self) -> None:
        """InputError where the folder holds parts of another explanation."""
        if self.folder is None or not (mark := self.folder / _MARK).is_file():
            return
        if mark.read_text(encoding="utf-8") != self.key:
            raise InputError(f"`resume`: {self.folder} is of another model, other data or options; start afresh with `overwrite`")

    def attributions(self, features: Features, compute: Callable[[Begun], Attributions]) -> Attributions:
        """By deletion of features: kept, or computed from what is begun of it and kept now."""
        return _attributions(self._get(f"deletion-{features.kind}", lambda begun: _arrays(compute(begun))), features)

    def gradients(self, features: Features, compute: Callable[[], Gradients]) -> Gradients:
        """The same by gradients, of ASVs, of which no beginning is kept."""

        def computed(_: Begun) -> Arrays:
            found = compute()
            names, weights = np.array(list(found.explained), dtype=np.str_), np.array(list(found.explained.values()))
            about = {"baseline": np.array(found.baseline), "explained": names, "weights": weights, "middle": np.array(found.middle)}
            return _arrays(found.attributions) | about | {name: getattr(found, name) for name in _OF_GRADIENTS}

        kept = self._get("gradients", computed)
        explained = dict(zip(kept["explained"].tolist(), kept["weights"].tolist(), strict=True))
        about = (kept["start"], kept["baseline"].item(), explained, kept["steps"], kept["complete"], float(kept["middle"]))
        return Gradients(_attributions(kept, features), *about)

    def permutation(
        self, features: Features, rows: np.ndarray, measure: Measure, compute: Callable[[Begun], PermutationImportance]
    ) -> PermutationImportance:
        """The same of what a score loses without those of some rows; what is kept says of which it is."""

        def computed(begun: Begun) -> Arrays:
            found = compute(begun)
            return {"rows": rows, "score": np.array(found.score)} | {name: getattr(found, name) for name in _OF_PERMUTATION}

        kept = self._get(f"permutation-{features.kind}", computed)
        some, score = features.some(kept["rows"]), float(kept["score"])
        return PermutationImportance(some, measure, score, *(kept[name] for name in _OF_PERMUTATION))

    def _get(self, name: str, compute: Callable[[Begun], Arrays]) -> Arrays:
        if self.folder is None:
            return compute(Begun())
        path, before = self.folder / f"{name}.npz", self.folder / f"{name}-begun.npz"
        if path.is_file():
            log.info("%s: kept from the run before", name)
            return _read(path)
        first = tuple(_read(before).values()) if before.is_file() else ()
        if first:
            log.info("%s: goes on from the run before", name)
        found = compute(Begun(first, lambda arrays: self._write(before, {str(k): part for k, part in enumerate(arrays)})))
        self._write(path, found)
        before.unlink(missing_ok=True)
        return found

    def _write(self, path: Path, found: Arrays) -> None:
        # Only now that there is something, so that what cannot be computed leaves nothing.
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path.parent / _MARK, self.key)
        with whole(path) as new, new.open("wb") as file:
            np.savez(file, **found)  # type: ignore[arg-type]


def _read(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _arrays(found: Attributions) -> dict[str, np.ndarray]:
    names = {"method": np.array(found.method), "outputs": np.array(found.output_names, dtype=np.str_), "unit": np.array(found.unit)}
    return names | {name: getattr(found, name) for name in _OF_ATTRIBUTIONS}


def _attributions(kept: Arrays, features: Features) -> Attributions:
    names = (kept["method"].item(), features, tuple(kept["outputs"].tolist()), kept["unit"].item())
    return Attributions(*names, *(kept[name] for name in _OF_ATTRIBUTIONS))
