"""Outside programs: run with a sign of life and a time-out, and ended when this run ends."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from subprocess import PIPE, Popen, TimeoutExpired

from aam.errors import InputError
from aam.progress import waiting

# OpenMP's threads are not to spin while they wait: on a busy machine they would keep those that they wait for from the cores.
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}
_LOOK_SECONDS = 0.5


def run_program(command: Sequence[str], text: str, what: str, seconds: float, advice: str) -> str:
    """What a program writes to standard output that is given `text`, on one thread; it is killed when this is interrupted.

    what: shown while it works, "Building a tree". InputError, with `advice`, when it fails, and when it has not ended in `seconds`.
    """
    begin = time.monotonic()
    environment = {**os.environ, **_ONE_THREAD}
    with Popen(list(command), stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True, env=environment) as process, waiting(what) as look:
        pending: str | None = text
        try:
            while True:
                try:
                    written, said = process.communicate(pending, timeout=_LOOK_SECONDS)
                    break
                except TimeoutExpired:
                    # What is left of it is remembered.
                    pending = None
                look()
                if time.monotonic() - begin > seconds:
                    raise InputError(f"{what}: no end after {seconds / 60:.0f} minutes (is the machine very busy?); {advice}")
        except BaseException:
            # Also for Ctrl-C and what else asks to stop.
            process.kill()
            raise
    if process.returncode != 0:
        end = f"exit code {process.returncode}" if process.returncode > 0 else f"signal {-process.returncode}"
        last = (said.strip().splitlines() or ["no message"])[-1]
        # A wheel may leave the OpenMP of its compiler to the system.
        library = "install that library (Debian and Ubuntu: apt-get install libgomp1), or " if "libgomp" in last else ""
        raise InputError(f"{what}: {last} ({end}); {library}{advice}")
    return written
