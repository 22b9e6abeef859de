"""Start a command once more as several processes of this machine, by PyTorch's own launcher (torchrun)."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import time
from collections.abc import Sequence

from aam.cli.run.log import log_in_files
from aam.parallel.ranks import rank

# Set for ranks that `run_ranks` has started, which speaks for those that are killed.
_LAUNCHED = "AAM_LAUNCHED"
# As gloo says it.
_GONE = re.compile("Connection (closed by|reset by|refused)|Timed out waiting")
# For the first rank to say what is wrong with the input, which is the same for all.
_GRACE_SECONDS = 5.0
_PATIENCE_SECONDS = 300


def run_ranks(number: int, argv: Sequence[str]) -> int:
    """Run `aam` with these arguments on `number` ranks, each with its own device; the exit code of the first that failed, or 0.

    One that fails ends the others.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # What went wrong has been said by the rank itself.
    for name in logging.root.manager.loggerDict:
        if name.startswith("torch.distributed"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    config = LaunchConfig(1, 1, number, rdzv_backend="c10d", rdzv_endpoint="localhost:0", run_id="aam", max_restarts=0)
    # Handed on to the ranks, which save. The last is not among the launcher's own.
    config.signals_to_handle = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"
    # To take a step to its end and write a checkpoint; where another rank has failed, one may wait for it and not end.
    config.shutdown_timeout = _PATIENCE_SECONDS
    os.environ[_LAUNCHED] = "1"
    try:
        elastic_launch(config, sys.executable)("-m", "aam", *argv)
    except ChildFailedError as failed:
        code = failed.get_first_failure()[1].exitcode
        if code < 0:
            # On a line of its own, wherever the killed rank's progress bar had come to.
            sys.stderr.write(f"\nerror: a process was ended by signal {-code}; --resume goes on from the last checkpoint\n")
        return code if code > 0 else 128 - code
    except SignalException as stopped:
        return 128 + stopped.sigval
    return 0


def say(line: str) -> None:
    """Write the last line of a failed command: of several ranks with the same trouble the first one's, which ends the others."""
    if rank() > 0:
        time.sleep(_GRACE_SECONDS)
        line = f"{line} (rank {rank()})"
    log_in_files(line)
    sys.stderr.write(f"{line}\n")


def is_lost_peer(error: RuntimeError) -> bool:
    """Whether an error says no more than that another rank has ended."""
    from torch.distributed import DistBackendError

    return isinstance(error, DistBackendError) or _GONE.search(str(error)) is not None


def end_after_peer() -> None:
    """Wait to be ended by the launcher, which has seen the other rank end; say so where nobody does."""
    # Lightning has it ignored.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(_GRACE_SECONDS)
    if _LAUNCHED not in os.environ:
        say("error: another process of the run has ended; --resume goes on from the last checkpoint")
