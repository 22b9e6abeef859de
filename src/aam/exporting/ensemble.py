"""An ensemble as one graph: tokens of ASVs, which of them are known, samples -> the prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from aam.data.sequences import Nucleotide
from aam.ensemble.asv_vectors import LETTERS, N_WORDS, SequenceWords
from aam.ensemble.calibration import SURE, Calibration, Stretch
from aam.ensemble.weights import SAYABLE, Combination
from aam.exporting.members import Seen, member_says
from aam.exporting.nodes import BOOL, DOUBLE, FLOAT, INT, Nodes, cast
from aam.saved.ensemble import FittedEnsemble
from aam.study.targets import ClassTarget, RegressionTarget

_LAST, _SECOND = np.array([-1]), np.array([1])
_KNOWN_LETTERS = 4


def ensemble_model(fitted: FittedEnsemble) -> Any:
    """The ONNX model of an ensemble, with the inputs and outputs of `aam.exporting.about.INPUTS`."""
    add, target, ensemble = Nodes(), fitted.target.target, fitted.ensemble
    words, columns = ensemble.catalogue.words, fitted.target.covariates.width
    inputs: dict[str, tuple[type, tuple[str | int, ...]]] = {}
    outputs: dict[str, tuple[type, tuple[str | int, ...]]] = {}
    vectors = ""
    if fitted.reads_sequences:
        inputs["tokens"] = (np.uint8, ("asvs", "letters"))
        inputs["vectors"] = (np.float32, ("vectors", len(words.shift)))
        outputs["asv_vectors"] = (np.float32, ("asvs", len(words.shift)))
        encoded = add.named(_vectors_of(add, words, "tokens"), "asv_vectors")
        vectors = add("Concat", "vectors", encoded, axis=0)
    inputs["known"] = (np.int64, ("features",))
    inputs["index"] = (np.int64, ("samples", "places"))
    inputs["counts"] = (np.float32, ("samples", "places"))
    if columns:
        inputs["design"] = (np.float32, ("samples", columns))
    counts = cast(add, "counts", DOUBLE)
    reads = add("ReduceSum", counts, np.array([1]))
    # As members round it: a sample without reads has shares of 0.
    part = add("Where", cast(add, reads, BOOL), add("Reciprocal", reads), np.array(0.0))
    seen = Seen(
        add,
        vectors,
        "known",
        "index",
        add("Greater", "counts", np.array(0, dtype=np.float32)),
        add("Mul", part, counts),
        "design" if columns else None,
        len(ensemble.catalogue.keys),
    )
    combination = ensemble.combination
    counted = {name: weight for name, weight in combination.weights.items() if weight > 0}
    said = {name: _mean_of(add, combination, name, [member_says(seen, one) for one in ensemble.members[name]]) for name in counted}
    combined = _combined(add, combination, said, classes=bool(target.classes))
    if isinstance(target, ClassTarget):
        outputs = {"probabilities": (np.float64, ("samples", target.outputs)), **outputs}
        add.named(combined, "probabilities")
    else:
        outputs = {"prediction": (np.float64, ("samples",)), **outputs}
        add.named(add("Squeeze", _decoded(add, target, combined), _LAST), "prediction")
    return add.model(inputs, outputs)


def _vectors_of(add: Nodes, words: SequenceWords, tokens: str) -> str:
    """See `SequenceWords.vectors`."""
    whole = cast(add, tokens, INT)
    letters = add("Sub", whole, np.array(int(Nucleotide.A)))
    # A word that begins at each letter, the first token being none; behind the end stand letters that are none.
    padded = add("Pad", letters, np.array([0, 0, 0, LETTERS]), np.array(-1))
    word, least, most = "", "", ""
    for place in range(LETTERS):
        ends = np.array([place - LETTERS + 1 or np.iinfo(np.int64).max])
        letter = add("Slice", padded, np.array([1 + place]), ends, np.array([1]))
        part = add("Mul", letter, np.array(4**place))
        word = add("Add", word, part) if word else part
        least = add("Min", least, letter) if least else letter
        most = add("Max", most, letter) if most else letter
    known = add("And", add("GreaterOrEqual", least, np.array(0)), add("Less", most, np.array(_KNOWN_LETTERS)))
    # What is no word is counted behind all words.
    word = add("Where", known, word, np.array(N_WORDS))
    size = add("Concat", add("Shape", tokens, start=0, end=1), np.array([1 + N_WORDS]), axis=0)
    room, ones = add("Expand", np.zeros((1, 1), dtype=np.float32), size), cast(add, add("Equal", word, word), FLOAT)
    counts = add("ScatterElements", room, word, ones, axis=1, reduction="add")
    # The square root of a word's count is shared out among the places where it begins: few of all words are in a sequence.
    parts = add("Reciprocal", add("Sqrt", add("GatherElements", counts, word, axis=1)))
    directions = np.vstack([words.directions, np.zeros((1, len(words.shift)))]).astype(np.float32)
    found = add("MatMul", add("Unsqueeze", parts, _SECOND), add("Gather", directions, word))
    return add("Sub", add("Squeeze", found, _SECOND), words.shift.astype(np.float32))


def _mean_of(add: Nodes, combination: Combination, name: Any, said: list[str]) -> str:
    """What the members of one name say together."""
    if name in combination.calibrations:
        said = [_calibrated(add, combination.calibrations[name], part) for part in said]
    return said[0] if len(said) == 1 else add("Div", add("Sum", *said), np.array(float(len(said))))


def _combined(add: Nodes, combination: Combination, said: Mapping[Any, str], *, classes: bool) -> str:
    """See `Combination.of`: [B, 1] of numbers, [B, K] of class probabilities."""
    weights, overall = [combination.weights[name] for name in said], combination.overall
    if not classes:
        mean = _middle_mean(add, list(said.values()), np.array(weights), combination.middle)
    elif combination.calibrations:
        mean = _weighted(add, list(said.values()), weights)
    else:
        logs = [add("Log", add("Clip", part, np.array(SAYABLE), np.array(1.0))) for part in said.values()]
        mean = add("Softmax", _weighted(add, logs, weights), axis=1)
    if isinstance(overall, Stretch):
        away = add("Mul", add("Sub", mean, np.array(overall.middle)), np.array(overall.factor))
        return add("Add", away, np.array(overall.middle))
    return mean if overall is None else _calibrated(add, overall, mean)


def _weighted(add: Nodes, parts: list[str], weights: list[float]) -> str:
    return add("Sum", *(add("Mul", part, np.array(weight)) for part, weight in zip(parts, weights, strict=True)))


def _middle_mean(add: Nodes, parts: list[str], weights: np.ndarray, middle: float) -> str:
    """Of numbers [B, 1] each, see `aam.ensemble.weights._middle_mean`."""
    if middle == 1:
        return _weighted(add, parts, weights.tolist())
    values, order = add.sorted(add("Concat", *parts, axis=1), len(parts))
    upper = add("CumSum", add("Gather", weights, order), np.array(1))
    lower = add("Sub", upper, add("Gather", weights, order))
    ends = np.array((1 - middle) / 2), np.array((1 + middle) / 2)
    counted = add("Max", add("Sub", add("Min", upper, ends[1]), add("Max", lower, ends[0])), np.array(0.0))
    total = add("ReduceSum", counted, np.array([1]))
    return add("Div", add("ReduceSum", add("Mul", values, counted), np.array([1])), total)


def _calibrated(add: Nodes, calibration: Calibration, said: str) -> str:
    """See `Calibration.apply`."""
    logs = add("Log", add("Max", said, np.array(SURE)))
    logits = add("Add", add("Mul", logs, np.array(calibration.power)), np.array(calibration.biases))
    return add("Softmax", logits, axis=1)


def _decoded(add: Nodes, target: RegressionTarget, said: str) -> str:
    """See `RegressionTarget.decode`."""
    found = add("Add", add("Mul", said, np.array(target.scale)), np.array(target.shift))
    if target.transform.startswith("log"):
        found = add("Sub", add("Exp", found), np.array(1.0))
    low, high = (np.array(fallback if end is None else end) for end, fallback in ((target.low, -np.inf), (target.high, np.inf)))
    return add("Clip", found, low, high) if target.low is not None or target.high is not None else found
