"""``aam train``: learn to predict a metadata column."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from aam.config import BestMetric, TrainConfig

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from torch.utils.data import DataLoader

    from aam.artifact import LoadedModel, TargetInfo
    from aam.cache import Cache
    from aam.cli.study import Study
    from aam.data.dataset import SampleDataset
    from aam.data.splits import Split
    from aam.models import SequencePredictor
    from aam.training.memory import Plan
    from aam.training.module import TrainModule

log = logging.getLogger(__name__)


def train(config: TrainConfig) -> None:
    """Learn to predict a metadata column, from scratch or from a pretrained encoder.

    A number is predicted, or a class with --classifier. The output folder serves predict and embed.
    """
    import numpy as np

    from aam.artifact import ModelInfo, build_predictor, load_model, save_model
    from aam.cli.output import start_run
    from aam.cli.results import score_table, write_metrics
    from aam.cli.study import first_draws, read_study, write_split
    from aam.compute import check_compute, describe
    from aam.data.dataset import SampleDataset
    from aam.models import SequenceEncoder
    from aam.models.summary import summarise
    from aam.training.fit import check_fit, fit, monitor_of

    pretrained = config.encoder.pretrained_encoder
    measured: list[BestMetric] = ["loss", "accuracy", "auc"] if config.target.classifier else ["mae", "rmse", "r2", "loss"]
    monitor = monitor_of(config.fit.best_metric, measured)
    loaded = load_model(pretrained, "--pretrained-encoder", config.compute) if pretrained else None
    if loaded is not None:
        config = with_shape_of(loaded, config)
    check_compute(config.compute)
    folder = start_run(config, [pretrained])
    study = read_study(config.data, config.reads, config.samples, config.target.metadata_column)
    problem = pose_problem(study, config)
    check_fit(config.fit, len(problem.split.val), config.objectives.penalty > 0)

    dataset = SampleDataset(study.table, config.reads, config.fit.seed)
    encoder = loaded.encoder if loaded else SequenceEncoder(config.model, config.reads.max_bp, config.compute)
    if loaded is None:
        first = first_draws(dataset, study, problem.split.train)
        encoder.calibrate(first.asv_tokens, first.asv_index, first.counts)
    model = build_predictor(encoder, config.model, problem.info, config.encoder.freeze_base)
    parts = assemble(problem, model, dataset, config, folder)
    log.info("%s\n%s", summarise(model), describe(config.compute, encoder.asv_encoder.gradient_checkpointing))
    write_split(study, problem.split, folder)
    result = fit(parts.module, parts.loaders, config.compute.mixed_precision, folder, monitor, config.output.resume)
    parts.plan.log_peak()

    part, held_out = problem.split.held_out
    scores = score(problem, model, dataset, held_out, folder, parts.frozen)
    before = loaded.info.learned_from if loaded else ()
    known = len(set(before).intersection(study.ids(held_out)))
    if known:
        log.warning("%d of the %d held-out samples were seen, without labels, in pretraining", known, len(held_out))
    learned_from = tuple(dict.fromkeys([*before, *study.ids(np.concatenate([problem.split.train, problem.split.val]))]))
    metric = loaded.info.unifrac_metric if loaded else None
    save_model(folder / "model", model, ModelInfo(config.model, config.reads, metric, problem.info, learned_from, scores))
    about = {"held_out_part": part, "held_out_samples": len(held_out), "held_out_seen_in_pretraining": known}
    write_metrics(folder, result, {**about, "held_out": scores})
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


@dataclass(frozen=True, eq=False)
class Problem:
    """A study and what to predict in it. Everything fitted is fitted on the training samples.

    truth: [N], numbers in original units or class ids; target: [N], what the model learns, float32 (transformed) or int64;
    categoricals: int64 [N, C] or None.
    """

    study: Study
    split: Split
    info: TargetInfo
    truth: np.ndarray
    target: np.ndarray
    categoricals: np.ndarray | None


def pose_problem(study: Study, config: TrainConfig) -> Problem:
    """Read the target, split the samples and fit the transforms."""
    import numpy as np

    from aam.artifact import TargetInfo
    from aam.data.metadata import categorical_column, numeric_column
    from aam.data.targets import Categoricals, ClassTarget, RegressionTarget

    metadata = cast("pd.DataFrame", study.metadata)  # TrainConfig does not exist without
    column, ids = config.target.metadata_column, study.table.sample_ids
    target: RegressionTarget | ClassTarget
    if config.target.classifier:
        labels = categorical_column(metadata, column, ids)
        split = study.split(config.samples, config.fit.seed, labels)
        target = ClassTarget.fit(labels[split.train])
        truth = learned = target.encode(labels)
    else:
        truth = numeric_column(metadata, column, ids)
        split = study.split(config.samples, config.fit.seed)
        target = RegressionTarget.fit(truth[split.train], config.target.target_transform)
        learned = target.forward(truth).astype(np.float32)
    columns = config.target.categorical_columns
    categoricals = Categoricals.fit(metadata.iloc[split.train], columns)
    codes = categoricals.encode(metadata) if columns else None
    return Problem(study, split, TargetInfo(column, target, categoricals), truth, learned, codes)


@dataclass(frozen=True, eq=False)
class Parts:
    """What a fit takes: the module, its training and validation batches, and how they were planned.

    frozen: embeddings float32 [N, D] of a frozen base, else None.
    """

    module: TrainModule
    loaders: tuple[DataLoader, DataLoader]
    plan: Plan
    frozen: np.ndarray | None


def assemble(problem: Problem, model: SequencePredictor, dataset: SampleDataset, config: TrainConfig, folder: Path) -> Parts:
    """Build what is fitted. A frozen base runs once, here, and only the head is fitted to what it gave."""
    from aam.cache import Cache
    from aam.cli.study import read_distances_of
    from aam.data.dataset import Collate, make_loader
    from aam.training.memory import Plan, TrainingTable, plan_memory
    from aam.training.module import HeadModule, TrainModule, make_embedded_loader

    split, study, cache, fit = problem.split, problem.study, Cache.of(config.caching), config.fit
    about = (problem.info.target, config.target.loss_type, study.majority(split.train))
    if model.freeze_base:
        if config.compute.max_memory_gb or config.compute.auto_batch_size or config.compute.gradient_checkpointing:
            log.warning("a frozen base takes little memory: the options that bound it are not used with --freeze-base")
        frozen = embed_frozen(model, study, dataset, cache)
        inputs = (frozen, problem.target, problem.categoricals)
        heads = (
            make_embedded_loader(*inputs, split.train, fit.batch_size, shuffle=True),
            make_embedded_loader(*inputs, split.val, fit.batch_size, shuffle=False),
        )
        plan = Plan(fit.batch_size, fit.accumulate, gradient_checkpointing=False)
        return Parts(HeadModule(model, None, config.objectives, fit, *about), heads, plan, frozen)
    distance = None
    if config.objectives.penalty > 0:
        distance = read_distances_of(study, config.distances, folder, config.output.resume, cache)
    elif config.distances.tree or config.distances.unifrac_matrix:
        log.warning("the tree or matrix is not used: --penalty, the weight of the UniFrac loss beside the target, is 0")
    training = TrainingTable(dataset, split.train, study.asv_tokens)
    plan = plan_memory(model.base_model, config.objectives, fit, config.compute, training, folder / "memory.json")
    fit = replace(fit, batch_size=plan.batch_size, accumulate=plan.accumulate)
    collate = Collate(study.asv_tokens, problem.target, problem.categoricals)
    loaders = (
        make_loader(dataset, collate, split.train, fit.batch_size, shuffle=True, fits=plan.limit, epochs=fit.epochs),
        make_loader(dataset, collate, split.val, fit.batch_size, shuffle=False, fits=plan.limit),
    )
    return Parts(TrainModule(model, distance, config.objectives, fit, *about), loaders, plan, None)


def embed_frozen(model: SequencePredictor, study: Study, dataset: SampleDataset, cache: Cache) -> np.ndarray:
    """Embeddings float32 [N, D] of all samples of a study by the model's base, which stays as it is: computed once for all epochs,
    the score and later runs.
    """
    import numpy as np
    import torch

    from aam.compute import default_device
    from aam.inference import TableSamples, embed_samples

    base, reads, counts = model.base_model, dataset.reads, study.table.counts
    # Without a draw the seed decides nothing.
    seed = None if reads.sampling_depth is None and reads.token_limit is None else dataset.seed
    about = (
        base.asv_encoder.options,
        base.compute.mixed_precision,
        reads,
        seed,
        dataset.sample_keys,
        torch.__version__,
        default_device().type,
    )
    weights = base.state_dict()
    parts = [repr(about), repr(list(weights)), *(tensor.cpu().numpy() for tensor in weights.values())]
    parts += [counts.indptr, counts.indices, counts.data, study.asv_tokens]

    def embed() -> dict[str, np.ndarray]:
        samples = TableSamples(dataset, study.asv_tokens, np.arange(len(study.table.sample_ids)))
        # A loader draws a random number: with and without the cache the run goes on from the same state.
        with torch.random.fork_rng(devices=[]):
            return {"embeddings": embed_samples(base.to(default_device()), samples, 64)}

    return cache.arrays("embeddings of the frozen base", parts, embed)["embeddings"]


def score(
    problem: Problem, model: SequencePredictor, dataset: SampleDataset, rows: np.ndarray, folder: Path, frozen: np.ndarray | None
) -> dict[str, float]:
    """Predict held-out samples, write the predictions and their plot, and score them beside the trivial prediction.

    `frozen`: embeddings float32 [N, D] of a frozen base, else None.
    """
    from aam.cli.predict import decode, write_predictions
    from aam.compute import default_device
    from aam.data.targets import RegressionTarget
    from aam.evaluation.scores import class_scores, regression_scores
    from aam.inference import TableSamples, embed_samples, predict_embedded
    from aam.training.plots import confusion, save, scatter

    model.to(default_device())
    if frozen is None:
        embeddings = embed_samples(model.base_model, TableSamples(dataset, problem.study.asv_tokens, rows), 64)
    else:
        embeddings = frozen[rows]
    codes = None if problem.categoricals is None else problem.categoricals[rows]
    decoded = decode(predict_embedded(model, embeddings, codes), problem.info.target)
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
