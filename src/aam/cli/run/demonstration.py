"""The run of ``aam demo``: the whole tool on a simulated community."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from aam.cli.configs import DemoConfig, ExplainConfig, PretrainConfig, TrainConfig
from aam.cli.configs_of_models import PredictConfig
from aam.cli.options import OutputOptions, WritingOptions
from aam.cli.run.explaining import run_explaining
from aam.cli.run.predicting import run_predicting
from aam.cli.run.pretraining import run_pretraining
from aam.cli.run.training import run_training
from aam.data.simulate import Simulation, simulate, write_simulation
from aam.explain.planted import ranks_of
from aam.explain.summary import ranked
from aam.options import (
    CacheOptions,
    EachTableOptions,
    EncoderOptions,
    ExplainOptions,
    FitOptions,
    PretrainSampleOptions,
    SampleOptions,
    TableOptions,
    TargetOptions,
    TrainComputeOptions,
    TrainedModelOptions,
    TrainFitOptions,
    TreeOptions,
)

log = logging.getLogger(__name__)

_SAMPLES, _NEW_SAMPLES, _SUBJECTS, _ASVS, _LENGTH = 480, 80, 280, 100, 100
# Wherever it is started, also in a shell or notebook of a job of several tasks.
_ALONE = TrainComputeOptions(devices=1)
_TARGETS = {"age": False, "disease": True}
# ASVs named first.
_NAMED = 10


def run_demo(config: DemoConfig) -> None:
    """Simulate, pretrain, train, predict and explain, and print how well it went."""
    folder = config.output_dir
    outputs = {name: OutputOptions(output_dir=folder / name, overwrite=config.overwrite) for name in ("pretrained", *_TARGETS)}
    study, new = folder / "data", folder / "new_data"
    simulation, truth = write_tables(config, study, new)
    table = TableOptions(table=study / "table.biom")

    log.info("\n[1/5] Pretraining without labels: UniFrac and masked nucleotides")
    samples = PretrainSampleOptions(metadata=(study / "metadata.tsv",), group_column="subject", test_fraction=0.2)
    # The targets follow the abundance of clades, which weighted UniFrac sees.
    distances = TreeOptions(tree=study / "tree.nwk", unifrac_metric="weighted_normalized")
    run_pretraining(
        PretrainConfig(
            data=table,
            samples=samples,
            distances=distances,
            fit=FitOptions(seed=config.seed, batch_size=16, epochs=10),
            compute=_ALONE,
            output=outputs["pretrained"],
            caching=CacheOptions(cache=False),
        )
    )

    for step, (column, classifier) in enumerate(_TARGETS.items(), start=2):
        log.info("\n[%d/5] Training to predict %s, subjects kept apart", step, column)
        run_training(
            TrainConfig(
                recipe="transformer",
                data=table,
                samples=SampleOptions(metadata=(study / "metadata.tsv",), group_column="subject"),
                target=TargetOptions(metadata_column=column, classifier=classifier),
                encoder=EncoderOptions(pretrained_encoder=folder / "pretrained"),
                fit=TrainFitOptions(seed=config.seed, batch_size=16, epochs=14),
                compute=_ALONE,
                output=outputs[column],
                caching=CacheOptions(cache=False),
            )
        )

    log.info("\n[4/5] Predicting %d samples of new subjects, with ASVs that training did not have", len(truth))
    for column in _TARGETS:
        run_predicting(
            PredictConfig(
                data=EachTableOptions(table=(new / "table.biom",)),
                trained=TrainedModelOptions(model=folder / column),
                compute=_ALONE,
                output=folder / f"new_{column}.tsv",
                writing=WritingOptions(overwrite=True),
            )
        )

    log.info("\n[5/5] Explaining these predictions, by taking ASVs and clades out of the samples")
    found = {column: explain_new(config, column, simulation) for column in _TARGETS}
    sys.stdout.write(report(folder, truth, found))


@dataclass(frozen=True)
class Found:
    """What an explanation finds of the truth. ranks: of the clades that drive the target (see `ranks_of`); inside: how many of the
    ASVs named first belong to them; chance: the share of the table's ASVs that do.
    """

    ranks: Mapping[str, int | None]
    inside: int
    chance: float


def explain_new(config: DemoConfig, column: str, simulation: Simulation) -> Found:
    """Explain the predictions of the new samples, and compare that with what drives the target."""
    folder = config.output_dir
    explanation = run_explaining(
        ExplainConfig(
            data=TableOptions(table=folder / "new_data" / "table.biom"),
            trained=TrainedModelOptions(model=folder / column),
            explaining=ExplainOptions(tree=folder / "new_data" / "tree.nwk", seed=config.seed),
            compute=_ALONE,
            output=OutputOptions(output_dir=folder / f"explain_{column}", overwrite=config.overwrite),
        )
    )
    names = [simulation.truth[column][part] for part in ("numerator", "denominator")]
    planted = [np.flatnonzero(np.isin(explanation.asv_ids, simulation.truth["clades"][name])) for name in names]
    of_asvs, of_clades = explanation.importances
    inside = np.isin(ranked(of_asvs)[:_NAMED], np.concatenate(planted)).sum()
    chance = sum(map(len, planted)) / len(explanation.asv_ids)
    return Found(dict(zip(names, ranks_of(of_clades, planted), strict=True)), int(inside), chance)


def write_tables(config: DemoConfig, study: Path, new: Path) -> tuple[Simulation, pd.DataFrame]:
    """Simulate one community; write the samples of some subjects to `new`, the others to `study`. Also the metadata of `new`."""
    simulation = simulate(config.seed, _SAMPLES + _NEW_SAMPLES, _ASVS, n_subjects=_SUBJECTS, length=_LENGTH)
    # Subjects follow each other, so the last samples are of other subjects.
    subjects = simulation.metadata["subject"].unique()
    is_new = simulation.metadata["subject"].isin(subjects[-_NEW_SAMPLES * len(subjects) // (_SAMPLES + _NEW_SAMPLES) :])
    for folder, metadata in ((study, simulation.metadata[~is_new]), (new, simulation.metadata[is_new])):
        table = simulation.table.select_samples(tuple(metadata.index)).drop_empty_features()
        write_simulation(replace(simulation, table=table, metadata=metadata), folder)
    log.info("Simulated %d samples of %d subjects: %s", len(simulation.metadata), len(subjects), study)
    return simulation, simulation.metadata[is_new]


def report(folder: Path, truth: pd.DataFrame, found: Mapping[str, Found]) -> str:
    """Scores, beside trivial ones; where the explanations name the clades that drive each target; the paths of what was written."""
    unifrac, age, disease = (_held_out(folder / name) for name in ("pretrained", *_TARGETS))
    new = {column: pd.read_csv(folder / f"new_{column}.tsv", sep="\t", index_col=0)["prediction"] for column in _TARGETS}
    new_error = (new["age"] - truth["age"]).abs().mean()
    median_error = np.abs(truth["age"] - truth["age"].median()).mean()
    new_accuracy = (new["disease"] == truth["disease"]).mean()
    commonest = truth["disease"].value_counts(normalize=True).max()
    rows = [
        ("UniFrac, held-out subjects", "Spearman", unifrac["spearman"], 0.0),
        ("age, held-out subjects", "MAE, years", age["mae"], age["median_mae"]),
        ("age, new table", "MAE, years", new_error, median_error),
        ("disease, held-out subjects", "accuracy", disease["accuracy"], disease["majority_accuracy"]),
        ("disease, new table", "accuracy", new_accuracy, commonest),
    ]
    lines = [f"{'':<30}{'score':<14}{'AAM':>8}{'trivial':>10}"]
    lines += [f"{task:<30}{score:<14}{value:>8.3f}{trivial:>10.3f}" for task, score, value, trivial in rows]
    lines += ["", "trivial: no correlation, the median age, the commonest class", ""]
    lines += [f"{'clades that drive the target':<30}rank among those that explain its predictions"]
    lines += [f"{column:<30}{', '.join(_ranked(*clade) for clade in one.ranks.items())}" for column, one in found.items()]
    lines += ["", f"{'ASVs named first':<30}how many belong to these clades (of ASVs at random)"]
    lines += [f"{column:<30}{one.inside} of {_NAMED} ({one.chance * _NAMED:.1f})" for column, one in found.items()]
    written = ("data", "pretrained", *_TARGETS, "new_data", *(f"new_{column}.tsv" for column in _TARGETS))
    written += tuple(f"explain_{column}" for column in _TARGETS)
    lines += ["", *(f"  {folder / name}" for name in written)]
    lines += [f"  tensorboard --logdir {folder}   shows the training curves"]
    return "\n".join(["", *lines, ""])


def _ranked(name: str, rank: int | None) -> str:
    return f"{name} {'not found' if rank is None else rank}"


def _held_out(folder: Path) -> dict[str, float]:
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["held_out"]
