"""``aam evaluate``: what a table can predict, by AAM and by what people use today, on the same folds."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import Parameter

from aam.disk.writing import write_tsv
from aam.errors import InputError
from aam.options import (
    METADATA,
    MODEL,
    CacheOptions,
    ConfigFile,
    EvaluateFitOptions,
    GroupOptions,
    ModelOptions,
    OutputOptions,
    ReadOptions,
    TableOptions,
    TargetOptions,
    TrainComputeOptions,
    TrainObjectives,
    TreeOptions,
    check,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from torch import nn

    from aam.evaluation.compare import Outcome
    from aam.evaluation.kept import KeptFolds
    from aam.learners.baselines import Learner, Task
    from aam.study.folds import Fold
    from aam.study.study import Study

log = logging.getLogger(__name__)


@Parameter(name="*", group=METADATA)
@dataclass(frozen=True, kw_only=True)
class FoldOptions:
    folds: int = 5
    """Parts that the samples (or groups) are dealt into; each is tested once by models of the others."""
    repeats: int = 1
    """Times that the samples are dealt anew."""
    leave_one_group_out: bool = False
    """Test each group of --group-column by models of all others, instead of --folds."""
    test_table: Path | None = None
    """Another table (study, cohort) to test on, instead of folds; --table is learned from."""
    test_rep_seqs: Path | None = None
    """Sequences of the ASVs of --test-table, where its feature ids are hashes or names."""
    test_metadata: Path | None = None
    """Metadata of --test-table. Default: --metadata."""
    confounder_column: str | None = None
    """Metadata column that may explain the target by itself (study, site): its levels' medians are a baseline."""

    def __post_init__(self) -> None:
        check(self.folds >= 2, "folds", self.folds, "at least 2")
        check(self.repeats >= 1, "repeats", self.repeats, "at least 1")
        if self.test_table and (self.leave_one_group_out or self.repeats > 1):
            raise InputError("--test-table is tested once: leave out --leave-one-group-out and --repeats")
        if self.test_table is None and (self.test_rep_seqs or self.test_metadata):
            raise InputError("--test-rep-seqs and --test-metadata are of --test-table, which is missing")


@Parameter(name="*", group=MODEL)
@dataclass(frozen=True, kw_only=True)
class ContestOptions:
    pretrain_epochs: int = 4
    """With --whole-networks: most epochs of pretraining, on the training samples of each fold."""
    transductive: bool = False
    """Pretrain once on all samples, those to be tested too, without their labels: faster, and for a table that will not grow."""
    only_baselines: bool = False
    """Leave out AAM: what the usual models reach, in minutes."""
    whole_networks: bool = False
    """Also train networks from the nucleotides up: from scratch, pretrained in the fold, and on a frozen base. Much slower."""

    def __post_init__(self) -> None:
        check(self.pretrain_epochs >= 1, "pretrain_epochs", self.pretrain_epochs, "at least 1")
        if self.only_baselines and self.whole_networks:
            raise InputError("--only-baselines and --whole-networks both given: choose one")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(ConfigFile):
    data: TableOptions
    reads: ReadOptions = ReadOptions()
    distances: TreeOptions = TreeOptions()
    samples: GroupOptions = GroupOptions()
    target: TargetOptions
    folding: FoldOptions = FoldOptions()
    contest: ContestOptions = ContestOptions()
    model: ModelOptions = ModelOptions()
    objectives: TrainObjectives = TrainObjectives()
    fit: EvaluateFitOptions = EvaluateFitOptions()
    compute: TrainComputeOptions = TrainComputeOptions()
    output: OutputOptions
    caching: CacheOptions = CacheOptions()

    def __post_init__(self) -> None:
        if self.samples.metadata is None:
            raise InputError("--metadata is missing: the table that holds --metadata-column")
        if self.folding.leave_one_group_out and self.samples.group_column is None:
            raise InputError("--leave-one-group-out needs --group-column: which groups")
        if self.compute.devices > 1:
            raise InputError(f"--devices {self.compute.devices}: evaluate runs on one device, with all of its cores; leave it out")
        if self.data.stream:
            raise InputError("--stream: the usual models need the table in memory; leave it out")
        if self.target.categorical_columns:
            raise InputError("--categorical-columns: evaluate compares what is learned from the microbes alone; leave it out")


def evaluate(config: EvaluateConfig) -> None:
    """Say how well a metadata column can be predicted, by AAM and by the models in use today, on the same folds.

    Everything is fitted inside the training samples of each fold. The output folder holds a report, index.html.
    """
    from aam.cli.run.folder import start_run
    from aam.compute import check_compute
    from aam.disk.cache import Cache
    from aam.evaluation.contestants import AUTO, RECOVERY, Combined, WholeNetworks
    from aam.evaluation.kept import KeptFolds
    from aam.evaluation.report import write_report
    from aam.learners.baselines import baselines_of
    from aam.study.folds import require_learnable
    from aam.study.study import drawn, join, read_distances_of, read_study

    check_compute(config.compute)
    options = config.folding
    folder = start_run(config, alone="evaluate")
    study = read_study(config.data, config.reads, config.samples, config.target.metadata_column)
    learned = len(study.table.sample_ids)
    if options.test_table is not None:
        study = join(study, read_test_study(config, options.test_table))
    study = drawn(study, config.reads, config.fit.seed)
    distance = read_distances_of(study, config.distances, folder, config.output.resume, Cache.of(config.caching))
    task, classes = pose_task(study, config, distance)
    folds = make_all_folds(task, config, learned)
    require_learnable(task, folds, classes)
    write_folds(study, task, folds, folder)
    simple = baselines_of(task)
    contestants: dict[str, Learner] = dict(simple)
    if not config.contest.only_baselines:
        contestants |= Combined(study, config).learners()
    if config.contest.whole_networks:
        networks = WholeNetworks(study, task, distance, config, folder)
        networks.check([fold.train for fold in folds])
        # No prediction, but made where the predictions are: by the encoder of each fold.
        contestants |= networks.learners() | {RECOVERY: networks.recovery}
    kept = KeptFolds(folder / "folds", key_of_run(study, task, folds, distance, config))
    predictions, failed = run_contest(task, contestants, folds, kept)
    recovered = predictions.pop(RECOVERY, [])
    outcome = outcome_of(task, classes, folds, predictions)
    write_predictions(study, outcome, folder / "predictions.tsv")
    headline = AUTO if AUTO in predictions else None
    found = [*failed, *warnings_of(study, task, outcome, config)]
    beaten = [name for name in simple if name in predictions]
    write_report(study_facts(study, task, config, recovered), outcome, beaten, found, folder, headline)
    log.info("wrote %s", folder / "index.html")


def pose_task(study: Study, config: EvaluateConfig, distance: nn.Module) -> tuple[Task, tuple[str, ...]]:
    """What is predicted from what, and the names of the classes."""
    import numpy as np
    import torch

    from aam.data.metadata import categorical_column, numeric_column
    from aam.learners.baselines import Task
    from aam.study.targets import ClassTarget

    metadata, ids = study.metadata, study.table.sample_ids
    assert metadata is not None  # EvaluateConfig does not exist without
    column = config.target.metadata_column
    classes: tuple[str, ...] = ()
    if config.target.classifier:
        target = ClassTarget.fit(labels := categorical_column(metadata, column, ids))
        truth, classes = target.encode(labels), target.classes
    else:
        truth = numeric_column(metadata, column, ids)
        if np.ptp(truth) == 0:
            raise InputError(f"--metadata-column {column}: is {truth[0]:g} in all samples: there is nothing to predict")
    task = Task(
        study.table.counts,
        truth,
        len(classes) or None,
        study.groups(config.samples.group_column),
        study.groups(config.folding.confounder_column),
        lambda: all_distances(study, distance),
        config.fit.seed,
        torch.get_num_threads(),
    )
    return task, classes


def all_distances(study: Study, distance: nn.Module) -> np.ndarray:
    """Distances [N, N] of all samples: UniFrac, or the matrix that was given."""
    from aam.distances.matrix import unifrac_matrix
    from aam.distances.precomputed import PrecomputedDistances
    from aam.distances.unifrac import UniFrac

    if isinstance(distance, PrecomputedDistances):
        return distance.matrix.numpy()
    assert isinstance(distance, UniFrac)
    return unifrac_matrix(study.table.counts, distance.phylogeny, distance.comparison.metric, distance.comparison.alpha)


def read_test_study(config: EvaluateConfig, table: Path) -> Study:
    """The samples of --test-table."""
    from aam.study.study import read_study

    options = config.folding
    data = replace(config.data, table=table, more_tables=(), rep_seqs=options.test_rep_seqs)
    samples = replace(config.samples, metadata=options.test_metadata or config.samples.metadata)
    return read_study(data, config.reads, samples, config.target.metadata_column)


def make_all_folds(task: Task, config: EvaluateConfig, learned: int) -> list[Fold]:
    """The folds that the options ask for; `learned` are the samples of --table, which come first."""
    from aam.study.folds import leave_one_group_out, make_folds, one_fold

    options = config.folding
    if options.test_table is not None:
        return one_fold(learned, len(task.truth), task.labels)
    if options.leave_one_group_out:
        assert task.groups is not None
        return leave_one_group_out(task.groups, task.labels)
    return make_folds(len(task.truth), options.folds, options.repeats, config.fit.seed, groups=task.groups, labels=task.labels)


def write_folds(study: Study, task: Task, folds: list[Fold], folder: Path) -> None:
    """folds.tsv: in which fold of which repeat each sample is tested."""
    import pandas as pd

    rows = [
        (fold.repeat + 1, fold.number + 1, study.table.sample_ids[row], "" if task.groups is None else task.groups[row])
        for fold in folds
        for row in fold.test
    ]
    frame = pd.DataFrame(rows, columns=["repeat", "fold", "sample", "group"])
    write_tsv(folder / "folds.tsv", frame, index=False)


def key_of_run(study: Study, task: Task, folds: list[Fold], distance: nn.Module, config: EvaluateConfig) -> str:
    """Hash of what the predictions of the folds depend on: the data, the distances, the folds, the options of the models."""
    import numpy as np

    from aam.disk.cache import key_of

    counts = task.counts
    models = (config.contest, config.model, config.objectives, config.fit)
    options = (config.reads, config.samples, config.target, config.distances, *models)
    tree = [buffer.numpy() for buffer in distance.buffers()]
    rows = np.concatenate([fold.test for fold in folds])
    labels = [repr(part.tolist()) for part in (task.truth, task.groups, task.confounder) if part is not None]
    return key_of([repr(options), repr(study.sequences), counts.indptr, counts.indices, counts.data, rows, *labels, *tree])


def run_contest(
    task: Task, contestants: dict[str, Learner], folds: list[Fold], kept: KeptFolds
) -> tuple[dict[str, list[np.ndarray]], list[str]]:
    """What each model says of the tested samples of each fold; and which models failed, where and why: they are left out."""
    from aam.progress import track

    kept.start()
    work = [(fold, name) for fold in folds for name in contestants]
    predictions: dict[str, list[np.ndarray]] = {name: [] for name in contestants}
    failed: list[str] = []
    for fold, name in track(work, "Evaluating", len(work)):
        if name in predictions:
            try:
                predictions[name].append(kept.get(fold, name, partial(contestants[name], task, fold.train, fold.test)))
            except InputError as error:
                failed.append(f"{name} is left out: it failed in {fold.name}: {error}")
                log.warning("%s", failed[-1])
                del predictions[name]
    return predictions, failed


def outcome_of(task: Task, classes: tuple[str, ...], folds: list[Fold], predictions: dict[str, list[np.ndarray]]) -> Outcome:
    """The predictions with what they are measured by."""
    import numpy as np

    from aam.evaluation.compare import Outcome

    if task.groups is None:
        return Outcome(task.truth, classes, np.arange(len(task.truth)), (), folds, predictions)
    names, unit = np.unique(task.groups, return_inverse=True)
    return Outcome(task.truth, classes, unit, names.tolist(), folds, predictions)


def write_predictions(study: Study, outcome: Outcome, path: Path) -> None:
    """predictions.tsv: every model, every tested sample, with its 90 % interval, or set and probabilities of classes."""
    import pandas as pd

    from aam.scoring.intervals import fold_thresholds, likely

    parts = []
    for model, by_fold in outcome.predictions.items():
        for fold, predicted, limit in zip(outcome.folds, by_fold, fold_thresholds(outcome, model), strict=True):
            about: dict[str, Any] = {
                "model": model,
                "repeat": fold.repeat + 1,
                "fold": fold.number + 1,
                "sample": study.ids(fold.test),
            }
            if outcome.classes:
                names = [outcome.classes[k] for k in outcome.truth[fold.test]]
                best = [outcome.classes[k] for k in predicted.argmax(axis=1)]
                shares = {f"probability of {name}": predicted[:, k] for k, name in enumerate(outcome.classes)}
                sets = [";".join(outcome.classes[k] for k in likely(said, limit)) for said in predicted]
                parts.append(pd.DataFrame({**about, "true": names, "predicted": best, "set": sets, **shares}))
            else:
                values = {"true": outcome.truth[fold.test], "predicted": predicted}
                parts.append(pd.DataFrame({**about, **values, "lower": predicted - limit, "upper": predicted + limit}))
    write_tsv(path, pd.concat(parts), index=False)


def study_facts(study: Study, task: Task, config: EvaluateConfig, recovered: list[np.ndarray]) -> dict[str, str]:
    """What the report says of the data, by name; `recovered`: UniFrac of tested samples, by fold."""
    samples, asvs = study.table.counts.shape
    groups = f"{len(set(task.groups))} of {config.samples.group_column}" if task.groups is not None else "none: folds are random"
    folding = config.folding
    dealt = "each group by itself" if folding.leave_one_group_out else f"{folding.folds} folds, dealt {folding.repeats} x"
    if folding.test_table is not None:
        dealt = f"on {folding.test_table.name}"
    pretrained = "of all samples, without labels" if config.contest.transductive else "of the training samples only"
    return {
        "column": config.target.metadata_column,
        "table": config.data.table.name,
        "samples": f"{samples:,}",
        "ASVs": f"{asvs:,}",
        "groups": groups,
        "tested": dealt,
        **({"pretraining": pretrained} if config.contest.whole_networks else {}),
        **(
            {"UniFrac recovery": f"Spearman {sum(float(part[0]) for part in recovered) / len(recovered):.3f}, tested samples"}
            if recovered
            else {}
        ),
    }


def warnings_of(study: Study, task: Task, outcome: Outcome, config: EvaluateConfig) -> list[str]:
    """What the reader must know before believing a score."""
    from aam.evaluation import checks
    from aam.evaluation.compare import best_of, mean_score

    metadata: pd.DataFrame | None = study.metadata
    assert metadata is not None
    found = [
        checks.near_duplicates(task, outcome.folds),
        checks.small_classes(task, outcome.classes),
        checks.few_groups(task, outcome.folds),
        checks.other_asvs(task, outcome.folds),
        checks.shared_groups(task, outcome.folds),
    ]
    if task.groups is None:
        found.append(checks.ungrouped_columns(metadata, config.target.metadata_column))
    confounded = [name for name in outcome.predictions if name.endswith("of each level")]
    if confounded and config.folding.confounder_column is not None:
        others = [name for name in outcome.predictions if name not in confounded]
        best, explained = mean_score(outcome, best_of(outcome, others)), mean_score(outcome, confounded[0])
        trivial = mean_score(outcome, next(iter(outcome.predictions)))
        column = config.folding.confounder_column
        found.append(checks.explained_by_confounder(column, outcome.metric, best, explained, trivial))
    return [finding for finding in found if finding is not None]
