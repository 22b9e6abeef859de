"""One side of `benchmarks.beside`, in a process of its own: a pretraining step whenever a line is read from standard input.

`python paced.py own DATA SIZE BATCH TASK` or `python -P paced.py public CHECKOUT TABLE MATRIX FOLDER`. Both packages are called
`aam`, so a process imports one of them.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

# Answers alone go to standard output: whatever else a side prints there goes to the log.
_ANSWERS = os.fdopen(os.dup(sys.stdout.fileno()), "w")
_MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024


def asked() -> bool:
    """Say what the process has used (processor seconds, most bytes) and wait: whether there is one more step to do."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    answer = {"processor": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss * _MAXRSS_BYTES}
    print(json.dumps(answer), file=_ANSWERS, flush=True)
    return bool(sys.stdin.readline())


def paced(loader: Iterable[Any]) -> Iterator[Any]:
    """Batches of a loader, each drawn when it is asked for."""
    batches = iter(loader)
    while asked():
        yield next(batches)


def own(data: str, size: str, batch_size: str, task: str) -> None:
    """Our step, as every benchmark measures it."""
    from benchmarks.workload import SIZES, TASKS, Workload, read_subject

    step = TASKS[task](Workload(read_subject("oral", Path(data)), SIZES[size], int(batch_size)))
    while asked():
        step()


def public(checkout: str, table: str, matrix: str, folder: str) -> None:
    """The step of the public implementation: its command `pretrain` by its defaults, its trainer held before each batch."""
    # A folder without `__init__.py`: Python would prefer a package of that name anywhere on the path.
    sys.path[:] = [checkout, *(place for place in sys.path if not (Path(place) / "aam" / "__init__.py").is_file())]
    trainer = importlib.import_module("aam.training.trainer").Trainer
    train_epoch = trainer.train_epoch

    def held(self: Any, dataloader: Iterable[Any], *arguments: Any, **options: Any) -> None:
        train_epoch(self, paced(dataloader), *arguments, **options)
        raise SystemExit

    trainer.train_epoch = held
    # Samples of oral have 1,000 reads each, all kept. Batches are made in this process, where their seconds are counted.
    options = ["--device", "cpu", "--rarefy-depth", "1000", "--num-workers", "0", "--seed", "0"]
    files = ["--table", table, "--unifrac-matrix", matrix, "--output-dir", folder]
    importlib.import_module("aam.cli.pretrain").pretrain(files + options)


if __name__ == "__main__":
    sys.stdout = sys.stderr
    warnings.filterwarnings("ignore")
    {"own": own, "public": public}[sys.argv[1]](*sys.argv[2:])
