"""Write a fitted model as an ONNX graph, which programs without AAM run."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aam.disk.json_files import json_text
from aam.disk.writing import whole, write_text
from aam.errors import InputError, path_of
from aam.exporting.about import about_model, page
from aam.exporting.ensemble import ensemble_model
from aam.exporting.place import check_export, files_beside
from aam.exporting.transformer import transformer_model
from aam.options import ExportOptions, ExportWeights
from aam.saved.ensemble import FittedEnsemble
from aam.saved.fitted import Fitted
from aam.saved.transformer import FittedEncoder

# By whether it is an ensemble: there the vectors of words, which are looked up, are the largest part.
_IN_8_BITS = {False: ["MatMul"], True: ["MatMul", "Gather"]}
# What a file of protobuf holds.
_MOST = 2**31 - 1


def export(model: Fitted, output: str | Path, *, weights: ExportWeights = "float32", overwrite: bool = False) -> Path:
    """Write a fitted model as an ONNX graph.

    Parameters
    ----------
    model : Fitted
        A transformer, an encoder or an ensemble, from ``aam.load`` or fresh.
    output : str or Path
        Where the graph goes: a name that ends in ``.onnx``. Beside it are written ``.json`` (what the graph expects and gives) and
        ``.md`` (how to use it, with the code).
    weights : {"float32", "int8"}
        int8 stores the matrices of layers in 8 bits: a smaller file, and predictions that differ a little.
    overwrite : bool
        Replace files that exist.

    Returns
    -------
    Path
        Of the graph.

    Raises
    ------
    InputError
        For a place that cannot be written, a model that has no graph, and where the packages of the extra ``onnx`` are missing.

    Examples
    --------
    >>> import aam
    >>> aam.export(aam.load("age-model"), "age.onnx").name
    'age.onnx'

    """
    path = path_of("output", output)
    chosen = ExportOptions(weights=weights)
    check_export(path, overwrite=overwrite)
    built = _model_of(model)
    about = about_model(model, built, chosen.weights)
    with whole(path) as new:
        if weights == "int8":
            _write_int8(built, new, _IN_8_BITS[isinstance(model, FittedEnsemble)])
        else:
            new.write_bytes(built.SerializeToString())
        for place, text in zip(files_beside(path), (json_text(about), page(path.stem, about)), strict=True):
            write_text(place, text)
    return path


def _model_of(fitted: Fitted) -> Any:
    if not isinstance(fitted, FittedEnsemble | FittedEncoder):
        raise InputError(f"`model`: is no fitted model of AAM but {type(fitted).__name__}; give what `aam.load` returns")
    target = None if fitted.info.target is None else fitted.info.target.target
    if getattr(target, "levels", None):
        raise InputError("`model`: its target was scaled within the levels of a column (`within_column`), which has no graph yet")
    built = ensemble_model(fitted) if isinstance(fitted, FittedEnsemble) else transformer_model(fitted)
    if built.ByteSize() > _MOST:
        raise InputError("`model`: larger than the 2 GB that an ONNX file holds")
    return built


def _write_int8(model: Any, path: Path, kinds: list[str]) -> None:
    """The graph with what some kinds of nodes read in 8 bits, and the inputs of products rounded as they come."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        quantize_dynamic(model, path, op_types_to_quantize=kinds, per_channel=True, weight_type=QuantType.QInt8)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without advice to those who write graphs."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(level)
