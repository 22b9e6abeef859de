"""Every option once: name, type, default, help and check, as plain frozen dataclasses.

The command line, its help, ``config.yaml``, estimators and model folders derive from them, so nothing heavy is imported here.
Fields carry their help as the string below them. Messages name options between backticks, as `name` or `name=value`: they are
arguments in Python, and the command line spells them as flags.
"""

from __future__ import annotations

from aam.options.checks import Options, check, check_counts, check_seed
from aam.options.data import (
    AsvSampling,
    GroupOptions,
    NewSampleOptions,
    PretrainSampleOptions,
    ReadOptions,
    SampleOptions,
    TableOptions,
    TargetOptions,
    TreeOptions,
    UniFracMetric,
)
from aam.options.ensemble import MEMBER_LABELS, EnsembleOptions
from aam.options.evaluation import ContestOptions, FoldExplainOptions, FoldOptions, FoldPretrainOptions
from aam.options.explain import ExplainBaseline, ExplainMethod, ExplainOptions
from aam.options.fit import (
    BestMetric,
    CacheOptions,
    EvaluateFitOptions,
    FitOptions,
    MaskStrategy,
    PretrainObjectives,
    TrainFitOptions,
    TrainObjectives,
    check_frozen,
)
from aam.options.models import (
    DEFAULT_COMPUTE,
    AttnImplementation,
    ComputeOptions,
    EncoderOptions,
    ModelOptions,
    PositionEncoding,
    Precision,
    Strategy,
    TrainComputeOptions,
    TrainedModelOptions,
)
from aam.options.target import (
    DEFAULT_QUANTILES,
    LossType,
    TransformName,
    check_loss,
    check_quantiles,
    check_range,
    order_in,
    quantiles_in,
    range_in,
    weights_in,
)

__all__ = [
    "DEFAULT_COMPUTE",
    "DEFAULT_QUANTILES",
    "MEMBER_LABELS",
    "AsvSampling",
    "AttnImplementation",
    "BestMetric",
    "CacheOptions",
    "ComputeOptions",
    "ContestOptions",
    "EncoderOptions",
    "EnsembleOptions",
    "EvaluateFitOptions",
    "ExplainBaseline",
    "ExplainMethod",
    "ExplainOptions",
    "FitOptions",
    "FoldExplainOptions",
    "FoldOptions",
    "FoldPretrainOptions",
    "GroupOptions",
    "LossType",
    "MaskStrategy",
    "ModelOptions",
    "NewSampleOptions",
    "Options",
    "PositionEncoding",
    "Precision",
    "PretrainObjectives",
    "PretrainSampleOptions",
    "ReadOptions",
    "SampleOptions",
    "Strategy",
    "TableOptions",
    "TargetOptions",
    "TrainComputeOptions",
    "TrainFitOptions",
    "TrainObjectives",
    "TrainedModelOptions",
    "TransformName",
    "TreeOptions",
    "UniFracMetric",
    "check",
    "check_counts",
    "check_frozen",
    "check_loss",
    "check_quantiles",
    "check_range",
    "check_seed",
    "order_in",
    "quantiles_in",
    "range_in",
    "weights_in",
]
