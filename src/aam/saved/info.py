"""What is known about a fitted model but its weights: the schema of `config.json`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np

from aam.disk.schema import fits, parse
from aam.models.heads import Head, first_space
from aam.options import CardOptions, ModelOptions, ReadOptions, UniFracMetric
from aam.scoring.bands import Band, repeated
from aam.study.covariates import Covariates
from aam.study.levels import Levels
from aam.study.splits import Split
from aam.study.study import Study
from aam.study.targets import KINDS, ClassTarget, RegressionTarget, Target

log = logging.getLogger(__name__)

NOTHING_SAID = CardOptions()
# Which samples scores are of.
Part = Literal["test", "val", "cross-fitted"]


@dataclass(frozen=True)
class TargetInfo:
    """What a model predicts and takes beside the microbes.

    intervals: by coverage in percent, the error (`scoring.intervals.scores_of`) that predictions of samples of new groups
    stay within that often; empty where it is not known; median: of the training samples' numbers, the trivial prediction; None for
    classes, and where it is not known; band: what makes quantiles of predictions, where they were asked for and can be told.
    """

    metadata_column: str
    target: Target
    covariates: Covariates = field(default_factory=Covariates)
    intervals: Mapping[str, float] = field(default_factory=dict)
    median: float | None = None
    band: Band | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Metadata columns that a prediction needs: covariates, and the one within whose levels a number is scaled."""
        levels = getattr(self.target, "levels", None)
        return tuple(dict.fromkeys((*self.covariates.columns, *([levels.column] if levels else []))))

    def scores(self, true: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        """Scores of new samples [n], beside the trivial prediction where that is known."""
        if isinstance(self.target, ClassTarget):
            # Models that do not say have balanced weights: the commonest class has the smallest.
            known = self.target.commonest
            return self.target.scores(true, predicted, np.array([np.argmin(self.target.weights) if known is None else known]))
        found = self.target.scores(true, predicted, np.array([self.median or 0.0]))
        return found if self.median is not None else {name: value for name, value in found.items() if name != "median_mae"}


def median_of(target: Target, truth: np.ndarray) -> float | None:
    """The median of the training samples' numbers; None for classes."""
    return None if target.classes else float(np.median(truth))


def band_of(target: Target, truth: np.ndarray, predicted: np.ndarray, groups: np.ndarray) -> Band | None:
    """What makes quantiles of predictions, from predictions [n] of samples that a model did not learn from, with their truth [n]
    and groups [n]; None where no quantiles are asked for, or the groups are too few, of which it warns.
    """
    if not isinstance(target, RegressionTarget) or not target.quantiles:
        return None
    band = Band.fit(truth, repeated(predicted, target.quantiles), groups, target.quantiles)
    if band is None:
        log.warning("no quantiles: too few groups were held out to tell the outermost of them")
    return band


@dataclass(frozen=True)
class Origin:
    """Where a model comes from, as its card tells it: in numbers, without ids.

    table_samples, table_asvs: of the table; groups: of the training samples, by group_column, None where each sample is its own;
    held_out: which samples the scores are of, None where there are none; held_out_seen: those of them that a model which this one
    started from had seen; apart: whether no group of them was trained on.
    """

    table_samples: int
    table_asvs: int
    groups: int | None = None
    group_column: str | None = None
    held_out: Part | None = None
    held_out_samples: int = 0
    held_out_seen: int = 0
    apart: bool = False

    @classmethod
    def of(cls, study: Study, groups: np.ndarray | None, rows: np.ndarray) -> Origin:
        """Of a model that was fitted to the samples `rows` of a study with groups [N]."""
        return cls(len(study), len(study.table.feature_ids), None if groups is None else len(np.unique(groups[rows])))


@dataclass(frozen=True)
class ModelInfo:
    """Everything about a model but its weights.

    unifrac_metric: which UniFrac was taught, "precomputed" for distances of a matrix in its place, or None; heads: what an encoder
    was taught; target: None for an encoder; learned_from: the ids of every sample that the weights or the choice of the best epoch
    have seen, pretraining included; scores: of held-out samples, for the model card; seed: of rarefaction, so that predictions are
    repeated; origin: None where it is not known; said: what people said of it, which has a file of its own.
    """

    options: ModelOptions
    reads: ReadOptions
    unifrac_metric: str | None = None
    target: TargetInfo | None = None
    learned_from: tuple[str, ...] = ()
    scores: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    heads: tuple[Head, ...] = ()
    origin: Origin | None = None
    said: CardOptions = NOTHING_SAID

    @property
    def space(self) -> str | None:
        """What distances between embeddings are, as they are written without a name, in words; None where none were taught."""
        head = first_space(self.heads)
        if head is None:
            return None
        if head.name != "unifrac":
            return "those of the matrix that was given" if head.name == "matrix" else head.name
        return "those of the matrix that was given" if self.unifrac_metric == "precomputed" else f"{self.unifrac_metric} UniFrac"

    def scored(
        self,
        scores: Mapping[str, float],
        study: Study,
        group_column: str | None,
        split: Split,
        held_out: tuple[Part, np.ndarray],
        said: CardOptions = NOTHING_SAID,
    ) -> ModelInfo:
        """The same with scores of held-out samples (part, rows) of the study it was fitted on, how they were kept apart, and what
        was said of the model that it goes on from.
        """
        part, rows = held_out
        train = np.concatenate([split.train, split.val]) if part == "test" else split.train
        groups, origin = study.labels(group_column), Origin.of(study, study.labels(group_column), train)
        if part == "test":
            origin = replace(origin, held_out_seen=len(set(self.learned_from).intersection(study.ids(rows))))
        apart = groups is not None and (part == "cross-fitted" or not np.isin(groups[rows], groups[train]).any())
        origin = replace(origin, group_column=group_column, held_out=part, held_out_samples=len(rows), apart=apart)
        return replace(self, scores=scores, origin=origin, said=said)

    def config(self) -> dict[str, Any]:
        """As config.json holds it."""
        config = asdict(self)
        config.pop("learned_from")
        config.pop("said")
        if self.target is not None:
            config["target"]["kind"] = self.target.target.kind
        return config


def parse_info(config: dict[str, Any], learned_from: list[str], said: CardOptions = NOTHING_SAID) -> ModelInfo:
    """What config.json, samples.txt and card.json say. KeyError and ValueError for what is missing or of another type."""
    target, seed = config["target"], config.get("seed", 0)
    metrics = get_args(UniFracMetric)
    if not (config["unifrac_metric"] in (None, "precomputed", *metrics) and isinstance(config["scores"], dict)):
        raise ValueError(f"unifrac_metric is {config['unifrac_metric']!r}, or scores are no object")
    if not (fits(seed, int) and 0 <= seed < 2**32):
        raise ValueError(f"seed is {str(seed)[:100]!r}")
    return ModelInfo(
        options=parse(ModelOptions, _with_words(config["options"]), "options"),
        reads=parse(ReadOptions, config["reads"], "reads"),
        unifrac_metric=config["unifrac_metric"],
        target=None if target is None else _parse_target(target),
        learned_from=tuple(learned_from),
        scores=config["scores"],
        seed=seed,
        heads=_parse_heads(config),
        # Models of earlier builds do not say.
        origin=None if config.get("origin") is None else parse(Origin, config["origin"], "origin"),
        said=said,
    )


def _with_words(options: Any) -> Any:
    """Models of version 0.1.0 have no words."""
    return {"word_length": 0, **options} if isinstance(options, dict) else options


def _parse_heads(config: dict[str, Any]) -> tuple[Head, ...]:
    """Encoders of version 0.1.0 were taught UniFrac alone."""
    if "heads" not in config:
        return (Head("unifrac", own=True),) if config["target"] is None and config["unifrac_metric"] is not None else ()
    if not isinstance(config["heads"], list):
        raise ValueError("heads are no list")
    return tuple(parse(Head, _of_kind(head), "head") for head in config["heads"])


def _of_kind(head: Any) -> Any:
    """Heads of earlier builds were of three kinds."""
    if not isinstance(head, dict) or "kind" not in head:
        return head
    taxa = head.get("taxa", [])
    outputs = {"distances": None, "quantity": 1, "taxonomy": sum(map(len, taxa))}[head["kind"]]
    told = {"outputs": outputs, "of_samples": head["kind"] != "taxonomy", "names": taxa}
    return {name: value for name, value in head.items() if name not in ("kind", "taxa")} | told


def _parse_target(config: dict[str, Any]) -> TargetInfo:
    # Version 0.1.0 kept one interval, that of 90 %.
    found = config["intervals"] if "intervals" in config else {"90": config["interval"]}
    column = config["metadata_column"]
    if not isinstance(column, str) or not fits(found, dict[str, float | None]):
        raise ValueError(f"metadata_column is {column!r}, intervals are {found!r:.100}")
    intervals = {percent: float(value) for percent, value in found.items() if value is not None}
    # Version 0.1.0 had categorical ones only.
    old = "covariates" not in config
    covariates = parse(Covariates, config["categoricals" if old else "covariates"], "categoricals" if old else "covariates")
    kind = KINDS[config["kind"]]
    found_target = config["target"]
    if isinstance(found_target, dict) and found_target.get("levels") is not None:
        found_target = {**found_target, "levels": parse(Levels, found_target["levels"], "target.levels")}
    target = parse(kind, found_target, "target")
    if missing := [name for name in kind.fitted if name not in config["target"]]:
        raise ValueError(f"target has no {missing[0]!r}")
    median = config.get("median")
    if not fits(median, float | None):
        raise ValueError(f"median is {median!r:.100}")
    band = None if config.get("band") is None else parse(Band, config["band"], "band")
    if band is not None and band.levels != getattr(target, "quantiles", ()):
        raise ValueError(f"a band of the levels {band.levels}")
    return TargetInfo(column, target, covariates, intervals, median, band)
