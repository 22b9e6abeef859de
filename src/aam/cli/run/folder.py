"""The folder of a run: checked and made ready before anything is computed."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from aam.cli.config_file import inputs_of, refuse_change, write_config
from aam.cli.configs import BenchmarkConfig, EvaluateConfig, ExplainConfig, PretrainConfig, TrainConfig
from aam.cli.options import LOG, OutputOptions
from aam.cli.run.log import log_to_file
from aam.disk.contents import contents_of, refuse_other_inputs, write_contents
from aam.disk.locks import lock
from aam.disk.writing import write_text
from aam.errors import InputError, first_few
from aam.explain.files import WRITTEN as EXPLANATION
from aam.parallel.collectives import meet, wait, world
from aam.parallel.ranks import by_first, nodes
from aam.saved.folder import TARGET_LIST, TARGETS
from aam.study.splits import Split
from aam.study.study import Study
from aam.tracking.sent import told
from aam.tracking.tracked import FOLDER as TRACKING
from aam.tracking.tracked import Tracked

RunConfig = PretrainConfig | TrainConfig | EvaluateConfig | ExplainConfig
# Everything that pretrain, train, evaluate and explain write. `overwrite` removes these and nothing else.
WRITTEN = (
    LOG,
    "config.yaml",
    "inputs.json",
    "model",
    TARGETS,
    TARGET_LIST,
    "metrics.json",
    "predictions.tsv",
    "predictions_probabilities.tsv",
    "train_samples.txt",
    "val_samples.txt",
    "test_samples.txt",
    "plots",
    "tensorboard",
    TRACKING,
    "checkpoints",
    "tree.nwk",
    "memory.json",
    "bad_batch.txt",
    "folds.tsv",
    "folds",
    "summary.tsv",
    "robustness.tsv",
    "errors.tsv",
    "label_errors.tsv",
    "index.html",
    "best.yaml",
    "trials.tsv",
    "tune.html",
    "study.db",
    "scores.tsv",
    "pairs.tsv",
    "ranks.tsv",
    "checks.tsv",
    "benchmark.md",
    "pieces",
    "trees",
    *EXPLANATION,
)


def prepare_output(options: OutputOptions, inputs: Iterable[Path] = ()) -> Path:
    """Make the output folder ready and return it, with an ``aam.log`` in it that marks it as a run's.

    `inputs` are the files that the run is going to read: `overwrite` must not remove one of them.
    """
    folder, held = options.output_dir, options.check()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock(folder)
        if options.overwrite:
            _clear(folder, held, inputs)
        (folder / LOG).touch()
    except OSError as error:
        raise InputError(f"`output_dir={folder}`: cannot write there ({error.strerror})") from error
    return folder


def _clear(folder: Path, held: set[str], inputs: Iterable[Path]) -> None:
    """Remove what an earlier run wrote; files of others stay."""
    if held and LOG not in held:
        found = first_few(sorted(held))
        raise InputError(f"`overwrite`: {folder} holds no earlier run (no {LOG}) but {found}; choose another folder")
    doomed = [folder / name for name in WRITTEN if name in held]
    for path in inputs:
        if any(_one_holds_the_other(path.resolve(), entry.resolve()) for entry in doomed):
            raise InputError(f"`overwrite` would remove {path}, which this run reads; choose another `output_dir`")
    for entry in doomed:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _one_holds_the_other(first: Path, second: Path) -> bool:
    return first.is_relative_to(second) or second.is_relative_to(first)


def start_run(config: RunConfig, alone: str | None = None, tracked: Tracked | None = None) -> Path:
    """Meet the other ranks, and prepare the output folder, the log and config.yaml of a run, which is `tracked` from here on.

    Refuses to resume a different run, and several ranks for what (`alone`) runs on one device.
    """
    meet(config.compute.devices, config.compute.num_nodes, alone)
    # As it was started, by whomever: a resumed run needs as many.
    compute: Any = replace(config.compute, devices=world() // nodes(), num_nodes=nodes())
    prepare_run(replace(config, compute=compute))
    wait()
    if tracked is not None:
        tracked.begin(f"aam {type(config).__name__.removesuffix('Config').lower()}", told(config, config.unused))
    return config.output.output_dir


@by_first
def prepare_run(config: RunConfig | BenchmarkConfig) -> None:
    """The same of a run on one device that is told to no tracker."""
    inputs = inputs_of(config)
    contents = contents_of(inputs)
    options, read = config.output.output_dir / "config.yaml", config.output.output_dir / "inputs.json"
    if config.output.resume and options.is_file():
        refuse_change(options, config)
        refuse_other_inputs(read, contents)
    folder = prepare_output(config.output, chain.from_iterable(inputs.values()))
    log_to_file(folder / LOG)
    write_contents(read, contents)
    write_config(options, config)


@by_first
def write_split(study: Study, split: Split, folder: Path, resume: bool) -> None:
    """Write train_samples.txt, val_samples.txt and test_samples.txt, one id a line.

    InputError where a run to be resumed has others: its training samples would be held out now.
    """
    texts = {
        folder / f"{name}_samples.txt": "".join(f"{sample_id}\n" for sample_id in study.ids(getattr(split, name)))
        for name in ("train", "val", "test")
    }
    for path, text in texts.items():
        if resume and path.is_file() and path.read_text(encoding="utf-8") != text:
            raise InputError(f"`resume`: {path} has other samples than the tables give now; start afresh in another `output_dir`")
    for path, text in texts.items():
        write_text(path, text)
