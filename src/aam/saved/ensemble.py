"""A fitted ensemble, and its model folder: arrays, JSON and a list of sequences. Nothing is executed when it is loaded."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file
from scipy import sparse

from aam.augment.choice import AugmentChoice
from aam.data.sequences import tokenize
from aam.disk.cache import key_of
from aam.ensemble.asv_vectors import N_WORDS, SequenceWords
from aam.ensemble.calibration import Calibration, Stretch
from aam.ensemble.catalogue import Catalogue, SeenTable
from aam.ensemble.ensemble import Ensemble, FittedMembers
from aam.ensemble.members import KINDS, Arrays, Member, MemberName
from aam.ensemble.novelty import KnownAsvs, Novelty
from aam.ensemble.weights import Combination, Weighing
from aam.errors import one_line
from aam.saved.fitted import Fitted
from aam.saved.folder import WEIGHTS, ModelFolder, place_for_model, write_folder
from aam.saved.info import ModelInfo, parse_info
from aam.saved.readers import EnsembleReader
from aam.saved.shuffled import shuffled_arrays
from aam.study.study import Study

log = logging.getLogger(__name__)

_KEYS = "asvs.txt"
# Of an array without columns, as vectors are where all ASVs are alike.
_LONGEST = 2**16
# Known ASVs in a made-up sample.
_TRIED = 3
_MAX_FITS = 100
_BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SafetensorError,
    TypeError,
    ValueError,
)


@dataclass(eq=False)
class FittedEnsemble(Fitted):
    """An ensemble and what is known about it; while it is fresh, also the members that it was combined from, and why they count as
    they do (weighing).
    """

    ensemble: Ensemble
    info: ModelInfo
    members: FittedMembers | None = None
    weighing: Weighing | None = None
    _novelty: Novelty | Callable[[], Novelty] | None = field(default=None, repr=False)
    augmentation: AugmentChoice | None = None
    _seen: dict[int, tuple[Study, SeenTable]] = field(default_factory=dict, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "members": None, "weighing": None, "_seen": {}}

    @property
    def reads_sequences(self) -> bool:
        return not self.ensemble.catalogue.by_id

    def see(self, study: Study) -> SeenTable:
        """A study as the members see it; that of the last one is kept. InputError for reverse complements."""
        if id(study) not in self._seen:
            self.look_at(study)
            # First, for they may be absent.
            design = self.target.covariates.of_samples(study.full_metadata)
            seen = self.ensemble.catalogue.see(study.read_as(self.info.reads).drawn(self.info.seed))
            self.remember(study, replace(seen, design=design))
        return self._seen[id(study)][1]

    def remember(self, study: Study, seen: SeenTable) -> None:
        """Keep what was seen of a study already."""
        self._seen.clear()
        self._seen[id(study)] = study, seen

    def predict(self, study: Study, rows: np.ndarray | None = None) -> np.ndarray:
        table = self.see(study)
        rows = study.rows if rows is None else rows
        return self.placed(study, rows, self.target.target.decode(self.ensemble.predict(table, rows)))

    def reseeded(self, seed: int) -> FittedEnsemble:
        # What was seen of a study was drawn by the other seed.
        return replace(self, info=replace(self.info, seed=seed), _seen={})

    def reader(self, study: Study) -> EnsembleReader:
        seen = self.see(study)
        return EnsembleReader(seen.counts, self.target, self.ensemble, seen)

    def shuffled(self, seed: int = 0) -> FittedEnsemble:
        rng, options = np.random.default_rng(seed), self.info.options
        members = {
            name: [KINDS[name].of(shuffled_arrays(member.arrays(), rng), options) for member in several]
            for name, several in self.ensemble.members.items()
        }
        return FittedEnsemble(replace(self.ensemble, members=members), self.info)

    def fingerprint(self) -> str:
        parts = (part for named in self._arrays().items() for part in named)
        return key_of((repr(self.ensemble.combination), "\n".join(self.ensemble.catalogue.keys), *parts))

    def _arrays(self) -> Arrays:
        """All that its members and the vectors of ASVs are, by name."""
        arrays: Arrays = {f"words.{name}": value for name, value in vars(self.ensemble.catalogue.words).items()}
        for name, fitted in self.ensemble.members.items():
            for number, member in enumerate(fitted):
                arrays |= {f"{name}.{number}.{part}": value for part, value in member.arrays().items()}
        return arrays

    def of(self, names: Sequence[MemberName]) -> FittedEnsemble:
        """The same of some of the members alone; of a fresh one."""
        if self.members is None:
            raise ValueError("the members of a saved ensemble cannot be weighed anew")
        ensemble, weighing = self.members.combine(names)
        return replace(self, ensemble=ensemble, weighing=weighing, _seen=self._seen)

    def save(self, folder: str | Path) -> None:
        catalogue, combination = self.ensemble.catalogue, self.ensemble.combination
        about = {
            "members": {name: len(fitted) for name, fitted in self.ensemble.members.items()},
            "weights": dict(self.ensemble.weights),
            "calibrations": {name: asdict(calibration) for name, calibration in combination.calibrations.items()},
            "middle": combination.middle,
            "overall": None if combination.overall is None else asdict(combination.overall),
            "known_asvs": len(catalogue.keys),
            "by_id": catalogue.by_id,
        }
        tensors = {name: torch.from_numpy(np.array(value, order="C")) for name, value in self._arrays().items()}
        more = {_KEYS: "".join(f"{key}\n" for key in catalogue.keys)}
        write_folder(place_for_model(folder), tensors, self.info, lambda: self.known, about, more)


def read_ensemble(folder: ModelFolder) -> FittedEnsemble:
    """Read an ensemble. InputError for a folder that is no complete model."""
    try:
        arrays = load_file(folder.path / WEIGHTS)
        # What takes no bytes could be of any length.
        _require(all(array.size or max(array.shape) <= _LONGEST for array in arrays.values()), "an array of nothing")
        _require(all(np.isfinite(array).all() for array in arrays.values()), "an array is not finite")
        info = parse_info(folder.config, folder.samples(), folder.said())
        if info.target is None:
            raise ValueError("config.json names no target")
        outputs = info.target.target.outputs
        ensemble = _build(arrays, tuple(folder.lines(_KEYS)), folder.config["ensemble"], info)
        fitted = FittedEnsemble(ensemble, info, _novelty=folder.novelty() or _novelty_of_0_1(arrays, ensemble.catalogue))
        with np.errstate(all="ignore"):
            _try(fitted, outputs)
    except _BROKEN as error:
        raise folder.incomplete(f"{type(error).__name__}: {one_line(error)}") from error
    return fitted


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(what)


def _novelty_of_0_1(arrays: Arrays, catalogue: Catalogue) -> Novelty | None:
    """What version 0.1.0 knew, and kept among the weights."""
    if "familiar.vectors" not in arrays:
        return None
    _require(arrays["familiar.vectors"].shape[1:] == catalogue.words.shift.shape, "the vectors of known ASVs")
    return Novelty(KnownAsvs(catalogue.words, arrays["familiar.vectors"], float(arrays["familiar.limit"])))


def _build(arrays: Arrays, keys: tuple[str, ...], about: dict[str, Any], info: ModelInfo) -> Ensemble:
    """The ensemble, after a look at what could hang or take all memory later. ValueError where something does not fit."""
    assert info.target is not None  # as was seen
    options, outputs, covariates = info.options, info.target.target.outputs, info.target.covariates.width
    _require(len(keys) == about["known_asvs"], f"{len(keys)} lines in {_KEYS}, not {about['known_asvs']}")
    words = SequenceWords(**_under(arrays, "words."))
    _require(words.directions.shape == (N_WORDS, len(words.shift)), "words")
    weights = {name: float(weight) for name, weight in about["weights"].items()}
    _require(min(weights.values()) >= 0 and abs(sum(weights.values()) - 1) < 1e-6, "weights do not add up to 1")
    _require(weights.keys() == about["members"].keys() <= KINDS.keys(), "weights are not those of the members")
    members: dict[Any, list[Member]] = {}
    for name, number in about["members"].items():
        _require(isinstance(number, int) and 1 <= number <= _MAX_FITS, f"{number} of {name}")
        members[name] = [KINDS[name].of(_under(arrays, f"{name}.{place}."), options) for place in range(number)]
        for member in members[name]:
            member.require_fit(len(words.shift), len(keys), outputs, covariates)
    calibrations = {name: _calibration(found) for name, found in about["calibrations"].items()}
    _require(not calibrations or calibrations.keys() == members.keys(), "calibrations are not those of the members")
    overall = None if about["overall"] is None else _overall(about["overall"], outputs)
    # Version 0.1.0 knew ASVs by their sequences only.
    by_id = about.get("by_id", False)
    _require(isinstance(by_id, bool), "by_id")
    # Version 0.1.0 took the mean.
    middle = float(about.get("middle", 1.0))
    _require(0 < middle <= 1, "middle")
    return Ensemble(Catalogue(words, keys, by_id), members, Combination(weights, overall, calibrations, middle))


def _try(fitted: FittedEnsemble, outputs: int) -> None:
    """Whatever error comes of predicting two made-up samples, of ASVs that are known and of one that is not."""
    catalogue = fitted.ensemble.catalogue
    identity = np.arange(min(len(catalogue.keys), _TRIED) + 1)
    tokens = tokenize(["ACGTTGCA"] * len(identity), [str(number) for number in identity], 8)
    counts = sparse.csr_array(np.tile(1 + identity, (2, 1)))
    design = np.zeros((2, fitted.target.covariates.width), dtype=np.float32)
    table = SeenTable(counts, tokens, catalogue.words.vectors(tokens), identity, len(catalogue.keys), design)
    rows = np.arange(2)
    every = [member.predict(table, rows) for members in fitted.ensemble.members.values() for member in members]
    for said in (*every, fitted.ensemble.predict(table, rows)):
        _require(said.shape == ((2,) if outputs == 1 else (2, outputs)) and bool(np.isfinite(said).all()), "what a member says")
    if fitted.known is not None and fitted.known.asvs is not None:
        far = fitted.known.asvs.far(tokens, np.arange(len(tokens)))
        _require(bool(np.isfinite(far).all()), "the vectors of known ASVs")


def _calibration(found: dict[str, Any]) -> Calibration:
    return Calibration(float(found["power"]), tuple(float(bias) for bias in found["biases"]))


def _overall(found: dict[str, Any], outputs: int) -> Calibration | Stretch:
    return Stretch(float(found["middle"]), float(found["factor"])) if outputs == 1 else _calibration(found)


def _under(arrays: Arrays, prefix: str) -> Arrays:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}
