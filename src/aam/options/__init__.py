"""Every option once: name, type, default, help and check, as plain frozen dataclasses.

The command line, its help, ``config.yaml``, estimators and model folders derive from them, so nothing heavy is imported here.
Fields carry their help as the string below them. Messages name options between backticks, as `name` or `name=value`: they are
arguments in Python, and the command line spells them as flags.
"""

from __future__ import annotations

from aam.options.augment import CANDIDATES, STRENGTHS, AugmentName, AugmentOptions, Step, check_augment
from aam.options.checks import Options, check, check_counts, check_seed
from aam.options.data import (
    AsvSampling,
    Fusion,
    GroupOptions,
    NewSampleOptions,
    OneTargetOptions,
    PretrainSampleOptions,
    ReadOptions,
    SampleOptions,
    TableOptions,
    TargetOptions,
    TreeOptions,
    UniFracMetric,
    check_covariates,
)
from aam.options.ensemble import MEMBER_LABELS, EnsembleOptions
from aam.options.evaluation import ContestOptions, FoldExplainOptions, FoldOptions, FoldPretrainOptions, RobustnessOptions
from aam.options.explain import ExplainBaseline, ExplainMethod, ExplainOptions
from aam.options.export import ExportOptions, ExportWeights
from aam.options.fit import (
    BestMetric,
    CacheOptions,
    EvaluateFitOptions,
    FitOptions,
    LabelFreeObjectives,
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
    StartOptions,
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
    columns_in,
    order_in,
    quantiles_in,
    range_in,
    weights_in,
)
from aam.options.tracking import TRACKERS, TrackOptions
from aam.options.tuning import TuneOptions

__all__ = [
    "CANDIDATES",
    "DEFAULT_COMPUTE",
    "DEFAULT_QUANTILES",
    "MEMBER_LABELS",
    "STRENGTHS",
    "TRACKERS",
    "AsvSampling",
    "AttnImplementation",
    "AugmentName",
    "AugmentOptions",
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
    "ExportOptions",
    "ExportWeights",
    "FitOptions",
    "FoldExplainOptions",
    "FoldOptions",
    "FoldPretrainOptions",
    "Fusion",
    "GroupOptions",
    "LabelFreeObjectives",
    "LossType",
    "MaskStrategy",
    "ModelOptions",
    "NewSampleOptions",
    "OneTargetOptions",
    "Options",
    "PositionEncoding",
    "Precision",
    "PretrainObjectives",
    "PretrainSampleOptions",
    "ReadOptions",
    "RobustnessOptions",
    "SampleOptions",
    "StartOptions",
    "Step",
    "Strategy",
    "TableOptions",
    "TargetOptions",
    "TrackOptions",
    "TrainComputeOptions",
    "TrainFitOptions",
    "TrainObjectives",
    "TrainedModelOptions",
    "TransformName",
    "TreeOptions",
    "TuneOptions",
    "UniFracMetric",
    "check",
    "check_augment",
    "check_counts",
    "check_covariates",
    "check_frozen",
    "check_loss",
    "check_quantiles",
    "check_range",
    "check_seed",
    "columns_in",
    "order_in",
    "quantiles_in",
    "range_in",
    "weights_in",
]
