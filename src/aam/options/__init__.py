"""Every option once: name, type, default, help and check, as plain frozen dataclasses.

The command line, its help, ``config.yaml``, estimators and model folders derive from them, so nothing heavy is imported here.
Fields carry their help as the string below them. Messages name options between backticks, as `name` or `name=value`: they are
arguments in Python, and the command line spells them as flags.
"""

from __future__ import annotations

from aam.options.augment import CANDIDATES, CHANGE_SEQUENCES, STRENGTHS, AugmentName, AugmentOptions, Step
from aam.options.checks import Options, check, check_counts, check_seed
from aam.options.data import (
    AsvSampling,
    Fusion,
    GroupOptions,
    LossType,
    NewSampleOptions,
    PretrainSampleOptions,
    ReadOptions,
    SampleOptions,
    TableOptions,
    TargetOptions,
    TransformName,
    TreeOptions,
    UniFracMetric,
    check_covariates,
)
from aam.options.ensemble import MEMBER_LABELS, EnsembleOptions
from aam.options.evaluation import ContestOptions, FoldExplainOptions, FoldOptions, FoldPretrainOptions, RobustnessOptions
from aam.options.explain import ExplainBaseline, ExplainMethod, ExplainOptions
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

__all__ = [
    "CANDIDATES",
    "CHANGE_SEQUENCES",
    "DEFAULT_COMPUTE",
    "MEMBER_LABELS",
    "STRENGTHS",
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
    "TrainComputeOptions",
    "TrainFitOptions",
    "TrainObjectives",
    "TrainedModelOptions",
    "TransformName",
    "TreeOptions",
    "UniFracMetric",
    "check",
    "check_counts",
    "check_covariates",
    "check_frozen",
    "check_seed",
]
