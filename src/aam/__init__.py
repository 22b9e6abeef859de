"""AAM (Attention All Microbes): learn from amplicon sequencing tables."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Public names by the module that defines them; imported when used, so that the command line starts at once.
_PUBLIC = {
    "ASVEncoder": "aam.models",
    "SampleSequenceEncoder": "aam.models",
    "SequenceEncoder": "aam.models",
    "SequencePredictor": "aam.models",
    "FeatureTable": "aam.data.table",
    "read_table": "aam.data.table",
    "Phylogeny": "aam.data.phylogeny",
    "UniFrac": "aam.distances.unifrac",
    "unifrac_matrix": "aam.distances.matrix",
    "beta_diversity": "aam.study.diversity",
    "alpha_diversity": "aam.study.diversity",
    "Study": "aam.study.study",
    "read_study": "aam.study.reading",
    "Problem": "aam.study.problem",
    "EnsembleOptions": "aam.options",
    "AAMRegressor": "aam.sklearn",
    "AAMClassifier": "aam.sklearn",
    "AAMEncoder": "aam.sklearn",
    "load": "aam.saved.load",
    "from_pretrained": "aam.saved.load",
    "write_card": "aam.saved.sharing",
    "export": "aam.exporting.export",
    "read_suite": "aam.benchmark.suite",
    "run_benchmark": "aam.benchmark.run",
    "InputError": "aam.errors",
}
__all__ = [*_PUBLIC, "__version__"]  # noqa: PLE0604 - every name of _PUBLIC is text


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'aam' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
