"""Where a command may write: checked before it computes anything."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from aam.cli.config_file import inputs_of, refuse_change, write_config
from aam.cli.run.inputs import contents_of, refuse_other_inputs, write_contents
from aam.cli.run.locks import lock
from aam.cli.run.log import log_to_file
from aam.errors import InputError, first_few
from aam.options import OutputOptions
from aam.parallel.ranks import by_first, nodes

if TYPE_CHECKING:
    from aam.cli.evaluate import EvaluateConfig
    from aam.cli.pretrain import PretrainConfig
    from aam.cli.train import TrainConfig

LOG = "aam.log"
# Everything that pretrain, train and evaluate write. --overwrite removes these and nothing else.
WRITTEN = (
    LOG,
    "config.yaml",
    "inputs.json",
    "model",
    "metrics.json",
    "predictions.tsv",
    "predictions_probabilities.tsv",
    "train_samples.txt",
    "val_samples.txt",
    "test_samples.txt",
    "plots",
    "tensorboard",
    "checkpoints",
    "tree.nwk",
    "memory.json",
    "bad_batch.txt",
    "folds.tsv",
    "folds",
    "summary.tsv",
    "index.html",
)

# A run that stopped at its input left no more than these.
LEFT_BY_BAD_INPUT = {LOG, "config.yaml", "inputs.json", "tree.nwk"}


def prepare_output(options: OutputOptions, inputs: Iterable[Path] = ()) -> Path:
    """Make the output folder ready and return it, with an ``aam.log`` in it that marks it as a run's.

    `inputs` are the files that the run is going to read: --overwrite must not remove one of them.
    """
    folder = options.output_dir
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--output-dir {folder}: is a file, not a folder")
    held = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    if options.resume:
        if held and LOG not in held:
            raise InputError(f"--resume: {folder} holds no earlier run (no {LOG}); choose another --output-dir")
    elif held and not options.overwrite and not (LOG in held and held <= LEFT_BY_BAD_INPUT):
        raise InputError(f"--output-dir {folder}: is not empty; choose another, or --overwrite, or --resume")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock(folder)
        if options.overwrite:
            _clear(folder, held, inputs)
        (folder / LOG).touch()
    except OSError as error:
        raise InputError(f"--output-dir {folder}: cannot write there ({error.strerror})") from error
    return folder


def _clear(folder: Path, held: set[str], inputs: Iterable[Path]) -> None:
    """Remove what an earlier run wrote; files of others stay."""
    if held and LOG not in held:
        found = first_few(sorted(held))
        raise InputError(f"--overwrite: {folder} holds no earlier run (no {LOG}) but {found}; choose another folder")
    doomed = [folder / name for name in WRITTEN if name in held]
    for path in inputs:
        if any(_one_holds_the_other(path.resolve(), entry.resolve()) for entry in doomed):
            raise InputError(f"--overwrite would remove {path}, which this run reads; choose another --output-dir")
    for entry in doomed:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _one_holds_the_other(first: Path, second: Path) -> bool:
    return first.is_relative_to(second) or second.is_relative_to(first)


def start_run(config: PretrainConfig | TrainConfig | EvaluateConfig, alone: str | None = None) -> Path:
    """Meet the other ranks, and prepare the output folder, the log, config.yaml and the random numbers of a run.

    Refuses to resume a different run, and several ranks for what (`alone`) runs on one device.
    """
    import lightning as L

    from aam.parallel.collectives import meet, require_alone, wait, world

    meet(config.compute.devices, config.compute.num_nodes)
    if alone is not None:
        require_alone(alone)
    # As it was started, by whomever: a resumed run needs as many.
    compute = replace(config.compute, devices=world() // nodes(), num_nodes=nodes())
    _prepare_run(replace(config, compute=compute))
    wait()
    L.seed_everything(config.fit.seed, verbose=False)
    return config.output.output_dir


@by_first
def _prepare_run(config: PretrainConfig | TrainConfig | EvaluateConfig) -> None:
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


def check_output_file(
    path: Path,
    overwrite: bool,
    suffixes: tuple[str, ...],
    beside: tuple[Path, ...] = (),
    inputs: Iterable[tuple[Path, ...]] = (),
) -> None:
    """Refuse an output of unknown kind, one that exists (unless `overwrite`), or one in a place that cannot be written.

    beside: files that may be written with it, but for the ids of an .npy; inputs: what the command reads, which none of them may
    replace.
    """
    if path.suffix == ".npy":
        beside = (*beside, path.with_suffix(".ids.txt"))
    read = {file.resolve() for file in chain.from_iterable(inputs)}
    if path.suffix not in suffixes:
        raise InputError(f"--output {path}: must end in {' or '.join(suffixes)}")
    if path.is_dir():
        raise InputError(f"--output {path}: is a folder")
    for written in (path, *beside):
        if written.resolve() in read:
            raise InputError(f"--output {written}: is read by this command; choose another name")
        if written.exists() and not overwrite:
            raise InputError(f"--output {written}: exists; choose another name or --overwrite")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise InputError(f"--output {path}: cannot write there ({error.strerror})") from error
