"""``aam train``: learn to predict a metadata column."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import Parameter

from aam.cli.usage import check_together
from aam.errors import InputError
from aam.options import (
    BestMetric,
    CacheOptions,
    ConfigFile,
    EncoderOptions,
    ModelOptions,
    OutputOptions,
    ReadOptions,
    RecipeOptions,
    SampleOptions,
    TableOptions,
    TargetOptions,
    TrainComputeOptions,
    TrainFitOptions,
    TrainObjectives,
    TreeOptions,
    check,
)

if TYPE_CHECKING:
    import numpy as np

    from aam.learners.transformer import Problem
    from aam.saved.folder import LoadedModel

log = logging.getLogger(__name__)

# What --best-metric may be; the first is its default.
REGRESSION_METRICS: tuple[BestMetric, ...] = ("mae", "rmse", "r2", "loss")
CLASS_METRICS: tuple[BestMetric, ...] = ("loss", "accuracy", "auc")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class TrainConfig(ConfigFile):
    data: TableOptions
    reads: ReadOptions = ReadOptions()
    distances: TreeOptions = TreeOptions()
    samples: SampleOptions = SampleOptions()
    target: TargetOptions
    recipe: RecipeOptions = RecipeOptions()
    encoder: EncoderOptions = EncoderOptions()
    model: ModelOptions = ModelOptions()
    objectives: TrainObjectives = TrainObjectives()
    fit: TrainFitOptions = TrainFitOptions()
    compute: TrainComputeOptions = TrainComputeOptions()
    output: OutputOptions
    caching: CacheOptions = CacheOptions()

    def __post_init__(self) -> None:
        if self.samples.metadata is None:
            raise InputError("--metadata is missing: the table that holds --metadata-column")
        if self.target.metadata_column in self.target.categorical_columns:
            raise InputError(f"--categorical-columns {self.target.metadata_column}: this is the column to predict; leave it out")
        if self.recipe.auto and (given := self.of_one_network):
            raise InputError(f"--auto and an option of one network are both given: leave out --auto, or {', '.join(given)}")
        if not self.auto and not self.recipe.trees:
            raise InputError("--no-trees is of --auto, and one network is trained here: leave it out")
        check_together(self.data, self.compute, self.fit)
        if self.encoder.freeze_base:
            if self.data.stream:
                raise InputError("--stream with --freeze-base: its embeddings need the table in memory; leave one out")
            for option in ("penalty", "nuc_penalty", "count_penalty"):
                check(getattr(self.objectives, option) == 0, option, getattr(self.objectives, option), "0 with --freeze-base")
            if self.reads.rarefy_each_epoch:
                raise InputError("--rarefy-each-epoch with --freeze-base: a frozen encoder runs once, on one draw; leave one out")

    @property
    def of_one_network(self) -> list[str]:
        """Names of the options given that only a network of its own has."""
        defaults = (EncoderOptions(), ModelOptions(), TrainObjectives(), replace(TrainFitOptions(), seed=self.fit.seed))
        parts = (self.encoder, self.model, self.objectives, self.fit)
        given = [
            name
            for part, default in zip(parts, defaults, strict=True)
            for name, value in vars(part).items()
            if value != getattr(default, name)
        ]
        given += ["categorical_columns"] if self.target.categorical_columns else []
        given += ["rarefy_each_epoch"] if self.reads.rarefy_each_epoch else []
        given += [] if self.target.loss_type == TargetOptions(metadata_column="").loss_type else ["loss_type"]
        given += ["devices"] if self.compute.devices > 1 else []
        given += ["stream"] if self.data.stream else []
        return [f"--{name.replace('_', '-')}" for name in given]

    @property
    def auto(self) -> bool:
        """Whether several models are fitted."""
        return self.recipe.auto if self.recipe.auto is not None else not self.of_one_network


def train(config: TrainConfig) -> None:
    """Learn to predict a metadata column.

    A number is predicted, or a class with --classifier: by several models at once, or by one network, fresh or pretrained. The
    output folder serves predict, and that of one network embed.
    """
    import numpy as np

    from aam.cli.run.folder import start_run
    from aam.cli.run.results import score_table, write_metrics
    from aam.compute import check_compute
    from aam.disk.cache import Cache
    from aam.learners.ensemble import train_auto
    from aam.learners.transformer import fit_predictor, pose_problem
    from aam.saved.folder import ModelInfo, load_model, save_model
    from aam.study.study import read_distances_of, read_study, write_split
    from aam.training.fit import check_fit, monitor_of

    pretrained = config.encoder.pretrained_encoder
    monitor = monitor_of(config.fit.best_metric, CLASS_METRICS if config.target.classifier else REGRESSION_METRICS)
    loaded = load_model(pretrained, "--pretrained-encoder", config.compute) if pretrained else None
    if loaded is not None:
        config = with_shape_of(loaded, config)
    check_compute(config.compute)
    folder = start_run(config, alone="train --auto" if config.auto else None)
    study = read_study(config.data, config.reads, config.samples, config.target.metadata_column)
    if config.auto:
        if config.output.resume:
            log.warning("--auto keeps nothing to go on from: it starts again")
        train_auto(config, study, folder)
        return
    problem = pose_problem(study, config.target, partial(study.split, config.samples, config.fit.seed))
    check_fit(config.fit, problem.split, config.objectives.penalty > 0)
    write_split(study, problem.split, folder, config.output.resume)
    distance = None
    if config.objectives.penalty > 0:
        distance = read_distances_of(study, config.distances, folder, config.output.resume, Cache.of(config.caching))
    elif config.distances.tree or config.distances.unifrac_matrix:
        log.warning("the tree or matrix is not used: --penalty, the weight of the UniFrac loss beside the target, is 0")
    fitted = fit_predictor(problem, loaded.encoder if loaded else None, distance, config, folder, monitor)
    fitted.plan.log_peak()

    part, held_out = problem.split.held_out
    decoded = fitted.predict(problem, held_out)
    scores = score(problem, decoded, held_out, folder)
    before = loaded.info.learned_from if loaded else ()
    known = len(set(before).intersection(study.ids(held_out)))
    if known:
        log.warning("%d of the %d held-out samples were seen, without labels, in pretraining", known, len(held_out))
    learned_from = tuple(dict.fromkeys([*before, *study.ids(np.concatenate([problem.split.train, problem.split.val]))]))
    metric = loaded.info.unifrac_metric if loaded else None
    # Validation samples chose the epoch: their errors are too small to promise anything by.
    interval = calibrate(problem, decoded, held_out, config) if part == "test" else None
    target = replace(problem.info, interval=interval)
    info = ModelInfo(config.model, config.reads, metric, target, learned_from, scores)
    save_model(folder / "model", fitted.model, info)
    about = {"held_out_part": part, "held_out_samples": len(held_out), "held_out_seen_in_pretraining": known}
    write_metrics(folder, fitted.result, {**about, "held_out": scores})
    log.info("%s", score_table(f"{config.target.metadata_column} of {len(held_out)} held-out samples ({part})", scores))
    log.info("wrote %s", folder)


def with_shape_of(loaded: LoadedModel, config: TrainConfig) -> TrainConfig:
    """The run's options with the width, layers and sequence length of the pretrained encoder."""
    own = config.model
    model = replace(loaded.info.options, dropout=own.dropout)
    log.info(
        "from %s: width %d, %d layers, %d nt",
        config.encoder.pretrained_encoder,
        model.embedding_dim,
        model.attention_layers,
        loaded.info.reads.max_bp,
    )
    for option in ("sampling_depth", "token_limit"):
        before, now = getattr(loaded.info.reads, option), getattr(config.reads, option)
        if before != now:
            log.warning("--%s is %s, in pretraining it was %s", option.replace("_", "-"), now, before)
    return replace(config, model=model, reads=replace(config.reads, max_bp=loaded.info.reads.max_bp))


def calibrate(problem: Problem, decoded: np.ndarray, rows: np.ndarray, config: TrainConfig) -> float | None:
    """How wrong predictions of new groups are at most, 9 times in 10, by those of the held-out `rows`; None for too few groups."""
    import math

    from aam.scoring.intervals import scores_of, threshold

    groups = problem.study.groups(config.samples.group_column)
    found = threshold(scores_of(problem.truth[rows], decoded), rows if groups is None else groups[rows])
    if math.isinf(found):
        log.warning("no intervals: they need 9 or more held-out groups (--test-fraction)")
        return None
    return found


def score(problem: Problem, decoded: np.ndarray, rows: np.ndarray, folder: Path) -> dict[str, float]:
    """Write the predictions of held-out samples and their plot, and score them beside the trivial prediction."""
    from aam.cli.predict import write_predictions
    from aam.scoring.plots import confusion, save, scatter
    from aam.scoring.scores import class_scores, regression_scores
    from aam.study.targets import RegressionTarget

    write_predictions(folder / "predictions.tsv", problem.study.ids(rows), decoded, problem.info.target)
    true, train_true = problem.truth[rows], problem.truth[problem.split.train]
    column, title = problem.info.metadata_column, f"{len(rows)} held-out samples"
    if isinstance(problem.info.target, RegressionTarget):
        import numpy as np

        figure = scatter(np.stack([decoded, true], axis=1), f"true {column}", f"predicted {column}", title)
        scores = regression_scores(true, decoded, train_true)
    else:
        figure = confusion(true, decoded.argmax(axis=1), problem.info.target.classes, f"{column}, {title}")
        scores = class_scores(true, decoded, train_true)
    save(figure, folder / "plots" / "predictions.png")
    return scores
