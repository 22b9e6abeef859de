"""A run that is killed, stopped or out of disk, and resumed each time, ends as one that was never broken off.

`python -m tests.cli.crashes --kills 30` is the whole of it; the suite has fewer. Runs are forked from one process that has imported
everything and done nothing, so that a start costs little.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import torch
import yaml
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

# Imported before the fork.
from aam.cli import main
from aam.data.newick import read_nodes
from aam.data.simulate import simulate, write_simulation
from tests.support.commands import hear

SHAPE = ["--embedding-dim", "16", "--attention-heads", "2", "--attention-layers", "1", "--lr", "0.003", "--no-cache"]
RUN = ["--batch-size", "8", "--epochs", "6", "--rarefy-each-epoch", "--sampling-depth", "200"]
TARGET = ["--metadata-column", "age", "--group-column", "subject", "--penalty", "0.5", "--nuc-penalty", "0.1"]
# Where times are told.
TIMED = ("aam.log", "tensorboard")


def start(arguments: Sequence[str], said: Path, before: Callable[[], object]) -> int:
    """Run `aam` in a process of its own, `before` called in it first, its words written to a file; the process id."""
    if child := os.fork():
        return child
    code = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
            hear(number)
        with said.open("a") as file:
            os.dup2(file.fileno(), 2)
        before()
        code = main(list(arguments))
    except Exception:  # noqa: BLE001 - of whatever kind, it is written down
        traceback.print_exc()
    finally:
        os._exit(code)


def end(child: int, seconds: float = float("inf"), saving: Path | None = None) -> int | None:
    """Wait for a process, but no longer than so many seconds: then kill it, or as soon after that as something is being written in
    the folder `saving`. Its exit code, None for a killed one.
    """
    limit = time.monotonic() + seconds
    while time.monotonic() < limit or (saving is not None and not list(saving.glob(".new-*"))):
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.0005)
    os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return None if code == -signal.SIGKILL else code


def check_readable(folder: Path) -> None:
    """Every file under its own name can be read; those beside them, which a kill left, are hidden."""
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_dir() or hidden:
            continue
        match path.suffix:
            case ".ckpt":
                torch.load(path, weights_only=True)
            case ".json":
                json.loads(path.read_text())
            case ".yaml":
                assert yaml.safe_load(path.read_text())
            case ".safetensors":
                load_file(path)
            case ".nwk":
                assert read_nodes(path)
            case ".tsv" | ".txt":
                assert path.read_text().endswith("\n"), path
            case ".png":
                assert path.read_bytes().endswith(b"IEND\xaeB`\x82"), path


def assert_same(one: Path, two: Path) -> None:
    """The same files, bit by bit, but for those that tell times."""
    files = {
        path.relative_to(one)
        for path in one.rglob("*")
        if path.is_file() and path.relative_to(one).parts[0] not in (*TIMED, "checkpoints", "config.yaml")
    }
    assert {"model/model.safetensors", "predictions.tsv", "metrics.json"} <= {str(path) for path in files}
    for path in sorted(files):
        assert (one / path).read_bytes() == (two / path).read_bytes(), path
    assert scalars(one) == scalars(two)
    ends = [torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True) for folder in (one, two)]
    for name in ("state_dict", "optimizer_states", "lr_schedulers", "callbacks", "loops"):
        assert equal(ends[0][name], ends[1][name]), name


def scalars(folder: Path) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """What TensorBoard shows of a run, but for times: steps and values by split and tag."""
    shown = {}
    for split in ("train", "val"):
        events = EventAccumulator(str(folder / "tensorboard" / split), size_guidance={"scalars": 0}).Reload()
        shown |= {(split, tag): [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    return shown


def equal(one: object, two: object) -> bool:
    """Tensors within dicts and lists bit by bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(equal(one[key], two[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(map(equal, one, two))
    return one == two


@dataclass(frozen=True)
class Runs:
    """`aam train` on a small community in `folder`, and how it ends when nothing happens to it."""

    folder: Path
    arguments: list[str]
    seconds: float

    @classmethod
    def prepare(cls, folder: Path) -> Runs:
        write_simulation(simulate(0, n_samples=60, n_asvs=60, length=40), folder)
        names = {"--table": "table.biom", "--tree": "tree.nwk", "--metadata": "metadata.tsv"}
        data = [word for option, name in names.items() for word in (option, str(folder / name))]
        runs = cls(folder, ["train", "--recipe", "transformer", *data, *TARGET, *SHAPE, *RUN], 0)
        seconds = []
        # Nothing is warm the first time.
        for name in ("first", "unbroken"):
            begin = time.monotonic()
            assert end(runs.start(name)) == 0, runs.said(name)
            seconds.append(time.monotonic() - begin)
        return replace(runs, seconds=min(seconds))

    def start(self, name: str, *more: str, minutes: float = 0.0001, before: Callable[[], object] = lambda: None) -> int:
        """By default a checkpoint after nearly every step, so that much may happen while one is written."""
        options = ["--output-dir", str(self.folder / name), "--checkpoint-minutes", str(minutes)]
        return start([*self.arguments, *options, *more], self.folder / f"{name}.said", before)

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.said").read_text()

    def check(self, name: str) -> None:
        check_readable(self.folder / name)
        assert_same(self.folder / "unbroken", self.folder / name)


def killed(runs: Runs, kills: int, seed: int) -> dict[str, int]:
    """Kill at random moments, half of them while a checkpoint is written, and resume; what happened."""
    rng = random.Random(seed)
    counts = {"kills": 0, "runs": 0, "in a save": 0}
    while counts["kills"] < kills:
        name = f"killed-{counts['runs']}"
        code = None
        while code is None:
            saving = runs.folder / name / "checkpoints" if rng.random() < 0.5 else None
            seconds = rng.uniform(0, runs.seconds) if counts["kills"] < kills else float("inf")
            code = end(runs.start(name, "--resume"), seconds, saving)
            counts["kills"] += code is None
            counts["in a save"] += code is None and any((runs.folder / name).rglob(".new-*"))
            check_readable(runs.folder / name)
        assert code == 0, runs.said(name)
        runs.check(name)
        counts["runs"] += 1
    return counts


def signalled(runs: Runs) -> dict[str, int]:
    """Stop by each signal that asks for it, in the middle of an epoch, with no other checkpoint than at the end of one; resume."""
    codes = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
        name = number.name
        # From disk too, whose order and results are those of a small table in memory.
        more = ["--stream"] if number == signal.SIGUSR1 else []
        child = runs.start(name, *more, minutes=1000)
        log = runs.folder / name / "aam.log"
        wait_for(lambda log=log: log.is_file() and "epoch 2/" in log.read_text())
        time.sleep(0.2)
        os.kill(child, number)
        codes[name] = end(child)
        assert f"stopped by {name}; --resume goes on from here" in runs.said(name)
        assert "Traceback" not in runs.said(name)
        assert end(runs.start(name, "--resume", *more, minutes=1000)) == 0, runs.said(name)
        runs.check(name)
    return codes


def full(runs: Runs) -> dict[str, int]:
    """A disk that takes no file above a size: one error, nothing unreadable, and with room again `--resume` ends as if nothing had
    been.
    """
    codes = {}
    # The tree that a run builds for itself does not fit.
    at, tree = runs.arguments.index("--tree"), runs.folder / "full-tree" / "tree.nwk"
    without = replace(runs, arguments=runs.arguments[:at] + runs.arguments[at + 2 :])
    limit = (resource.RLIMIT_FSIZE, (1500, resource.RLIM_INFINITY))
    codes["full-tree"] = end(without.start("full-tree", before=lambda: resource.setrlimit(*limit)))
    assert "tree.nwk: File too large" in runs.said("full-tree")
    assert not tree.exists()
    assert end(without.start("full-tree", "--resume")) == 0, runs.said("full-tree")
    # A checkpoint does not fit, its second half, or not even the first file.
    for kilobytes in (100, 60, 1):
        name = f"full-{kilobytes}"
        limit = (resource.RLIMIT_FSIZE, (1024 * kilobytes, resource.RLIM_INFINITY))
        codes[name] = end(runs.start(name, before=lambda limit=limit: resource.setrlimit(*limit)))
        said = runs.said(name)
        assert said.count("error: ") == 1, said
        assert "Traceback" not in said, said
        check_readable(runs.folder / name)
        assert not list((runs.folder / name).rglob(".new-*"))
        assert end(runs.start(name, "--resume")) == 0, runs.said(name)
        runs.check(name)
    return codes


def filled(runs: Runs, disk: Path) -> dict[str, int]:
    """A disk, best a small one, that fills up while a run writes on it, from nothing left to room for all: as above. The codes that
    each number of free kilobytes led to.
    """
    ballast, codes = disk / "ballast", {}
    for kilobytes in (0, 4, 16, 40, 80, 120, 160, 240, 320, 480, 640, 800, 1000, 1300, 1600, 2000):
        name = f"disk-{kilobytes}"
        (disk / name).mkdir()
        (runs.folder / name).symlink_to(disk / name)
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - 1024 * kilobytes)
        code = end(runs.start(name), 120)
        said = runs.said(name)
        codes[str(kilobytes)] = code
        assert code == (2 if "error: " in said else 0), said
        assert said.count("error: ") <= 1, said
        assert "Traceback" not in said, said
        ballast.unlink()
        check_readable(disk / name)
        assert not list((disk / name).rglob(".new-*"))
        assert end(runs.start(name, "--resume"), 120) == 0, runs.said(name)
        runs.check(name)
        shutil.rmtree(disk / name)
    return codes


def signalled_group(runs: Runs) -> int | None:
    """SIGTERM to every process of a run, as SLURM sends it, of which two make batches."""
    child = runs.start("group", "--num-workers", "2", minutes=1000, before=os.setpgrp)
    log = runs.folder / "group" / "aam.log"
    wait_for(lambda: log.is_file() and "epoch 2/" in log.read_text())
    # Somewhere in the epoch after it.
    time.sleep(0.2)
    os.killpg(child, signal.SIGTERM)
    code = end(child, 60)
    assert "Traceback" not in runs.said("group"), runs.said("group")
    assert end(runs.start("group", "--num-workers", "2", "--resume", minutes=1000), 60) == 0, runs.said("group")
    runs.check("group")
    return code


def lost(runs: Runs) -> int | None:
    """The processes that make batches are killed, at one moment after another until they are missed: the run ends with one line
    and goes on where it was.
    """
    code: int | None = 0
    for attempt in range(12):
        if code != 0:
            break
        name = f"lost-{attempt}"
        child = runs.start(name, "--num-workers", "2", minutes=1000)
        log = runs.folder / name / "aam.log"
        wait_for(lambda log=log: log.is_file() and "epoch 2/" in log.read_text())
        time.sleep(0.02 * attempt)
        with suppress(psutil.NoSuchProcess):
            for worker in psutil.Process(child).children():
                worker.kill()
        code = end(child, 60)
    assert runs.said(name).count("\nerror: a process that makes batches was ended from outside") == 1, runs.said(name)
    assert "Traceback" not in runs.said(name), runs.said(name)
    assert end(runs.start(name, "--num-workers", "2", "--resume", minutes=1000), 60) == 0, runs.said(name)
    runs.check(name)
    return code


def early(runs: Runs) -> dict[str, int | None]:
    """A signal before there is anything to save."""
    codes = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        name = f"early-{number.name}"
        child = runs.start(name)
        wait_for(lambda name=name: (runs.folder / name / "aam.log").is_file())
        os.kill(child, number)
        codes[number.name] = end(child, 60)
        assert runs.said(name).rstrip().endswith(f"stopped by {number.name}"), runs.said(name)
    return codes


def wait_for(condition: Callable[[], bool]) -> None:
    """Until it holds, for a minute."""
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--disk", type=Path, help="an empty file system of some megabytes, to fill up")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        prepared = Runs.prepare(Path(scratch))
        found = {"killed": killed(prepared, given.kills, given.seed), "signalled": signalled(prepared), "full": full(prepared)}
        found |= {"group": {"SIGTERM": signalled_group(prepared)}, "early": early(prepared), "lost": {"code": lost(prepared)}}
        if given.disk:
            found["filled"] = filled(prepared, given.disk)
        sys.stdout.write(json.dumps(found) + "\n")
