"""What an exported graph is: the JSON beside it, and a page with the code that reads it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from aam import __version__
from aam.data.sequences import Nucleotide
from aam.exporting.nodes import OPSET
from aam.options import MEMBER_LABELS, ExportWeights
from aam.saved.ensemble import FittedEnsemble
from aam.saved.fitted import Fitted
from aam.study.covariates import Covariates
from aam.study.targets import RegressionTarget

# What inputs and outputs are, by name.
MEANINGS: Mapping[str, str] = {
    "tokens": "uint8 [asvs, letters]: sequences as numbers (`tokens`), a start in front and padding behind; one at least",
    "vectors": "float32 [vectors, width]: of ASVs that were encoded before (`asv_vectors`); there may be none",
    "known": "int64 [vectors + asvs]: place of each ASV in `known`, from 1; 0 for any other. Without tokens: [features]",
    "index": "int64 [samples, places]: the ASVs of a sample: row of `vectors`, behind these of `tokens`; 0 as padding",
    "counts": "float32 [samples, places]: reads of these; 0 is padding",
    "design": "float32 [samples, columns]: covariates, in the order of `covariates`",
    "prediction": "float64 [samples], in the unit of the target",
    "probabilities": "float64 [samples, classes], in the order of `target.classes`",
    "sample_embedding": "float32 [samples, width]",
    "asv_vectors": "float32 [asvs, width], of `tokens` alone",
}
# ASVs that are encoded together, by whether it is an ensemble: what a CPU takes in its caches, in few runs.
_AT_ONCE = {False: 64, True: 256}
_READER = Path(__file__).with_name("reader.py")


def about_model(fitted: Fitted, model: Any, weights: ExportWeights) -> dict[str, Any]:
    """What the JSON beside an ONNX model says."""
    info, reads = fitted.info, fitted.info.reads
    names = {part: [value.name for value in getattr(model.graph, part)] for part in ("input", "output")}
    kept = ("max_bp", "sampling_depth", "token_limit", "asv_sampling")
    ensemble = fitted.ensemble if isinstance(fitted, FittedEnsemble) else None
    counted = {} if ensemble is None else {MEMBER_LABELS[name]: weight for name, weight in ensemble.weights.items() if weight > 0}
    return {
        "kind": "ensemble" if ensemble is not None else "transformer" if info.target is not None else "encoder",
        "target": None if info.target is None else _target(fitted),
        "features": "sequences" if fitted.reads_sequences else "ids",
        "inputs": names["input"],
        "outputs": names["output"],
        "meaning": {
            name: MEANINGS.get(name, f"float32 [samples, ...]: {name}, as the encoder was taught it")
            for name in (*names["input"], *names["output"])
        },
        "asvs_at_once": _AT_ONCE[ensemble is not None],
        "reads": {**{name: getattr(reads, name) for name in kept}, "seed": info.seed},
        "tokens": {
            "padding": 0,
            "start": int(Nucleotide.START),
            "other": int(Nucleotide.MASK),
            **{n: int(Nucleotide[n]) for n in "ACGT"},
        },
        "covariates": [] if info.target is None else _columns(info.target.covariates),
        "members": counted,
        "weights": weights,
        "opset": OPSET,
        "written_with": {"aam": __version__, **{name: version(name) for name in ("onnx", "onnxruntime", "torch")}},
        "known": [] if ensemble is None else list(ensemble.catalogue.keys),
    }


def _target(fitted: Fitted) -> dict[str, Any]:
    about = fitted.target
    found: dict[str, Any] = {"column": about.metadata_column, "kind": about.target.kind}
    if isinstance(about.target, RegressionTarget):
        found["range"] = [about.target.low, about.target.high]
    else:
        found["classes"] = list(about.target.classes)
    # Of numbers a half width; of classes, those count whose probability is at least 1 - this.
    return {**found, "limit_90": about.intervals.get("90")}


def _columns(covariates: Covariates) -> list[dict[str, Any]]:
    """What each column of the design is, in its order."""
    levels = [{"column": column, "level": level} for column, values in covariates.vocabularies.items() for level in values]
    numbers = [{"column": column, "mean": mean, "sd": spread} for column, (mean, spread) in covariates.numbers.items()]
    return [*levels, *numbers, *({"column": column, "missing": True} for column in covariates.lacking)]


def reader_text(about: Mapping[str, Any]) -> str:
    """The code that reads a model: what it needs of the whole (`aam.exporting.reader`)."""
    parts = _READER.read_text(encoding="utf-8").split("\n\n\n")
    unneeded = {"def drawn": not draws(about), "def design_of": not about["covariates"]}
    kept = [part for part in parts if not any(part.startswith(name) and absent for name, absent in unneeded.items())]
    return "\n\n\n".join(kept).strip() + "\n"


def draws(about: Mapping[str, Any]) -> bool:
    """Whether the model reads some of the reads of a sample only."""
    return bool(about["reads"]["sampling_depth"] or about["reads"]["token_limit"])


def page(name: str, about: Mapping[str, Any]) -> str:
    """The page beside a graph of this name, in Markdown."""
    target = about["target"]
    what = "Embeds samples." if target is None else f"Predicts `{target['column']}`."
    meanings = "".join(f"| `{key}` | {text} |\n" for key, text in about["meaning"].items())
    first = f"""session, about = load("{name}.onnx")
"""
    if draws(about):
        first += "counts = drawn(about, counts, sample_ids)\n"
    if about["covariates"]:
        first += "design = design_of(about, metadata)\n"
    first += f"said = run(session, about, sequences, counts{', design' if about['covariates'] else ''})\n"
    return f"""# {name}.onnx

{what} One ONNX graph ({about["kind"]} of AAM {about["written_with"]["aam"]}, opset {about["opset"]}, weights {about["weights"]});
`{name}.json` says what it expects and gives. It needs no AAM: Python with `numpy` and `onnxruntime` (1.21 or later) is enough.

| input, output | |
|---|---|
{meanings}
Novelty is not in the graph: `aam predict` tells which samples are unlike the training data.

Use, with the code below; `sequences` are the ASVs of the columns of `counts`, a NumPy array [samples, ASVs] of whole numbers:

```python
{first}```

```python
{reader_text(about)}```
"""
