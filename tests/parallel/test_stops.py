"""Signals heard between the steps of a run; whole runs that are stopped are in cli/test_crashes.py."""

import io
import logging
import os
import pty
import signal
import sys

import pytest

from aam.errors import Stopped
from aam.parallel import signals as stops
from aam.parallel.signals import Stops


@pytest.fixture
def listening(own_signals):
    heard = Stops(saved=lambda: True)
    heard.listen()
    yield heard
    heard.leave()


class Interrupted(io.RawIOBase):
    """A file during whose writing a signal comes."""

    def writable(self):
        return True

    def write(self, data):
        signal.raise_signal(signal.SIGINT)
        return len(data)


def test_a_signal_while_the_log_is_written(listening, capfd):
    """Python's buffers cannot be entered twice, and a log that fails prints a traceback."""
    log = logging.getLogger("test_stops")
    log.propagate = False
    handler = logging.StreamHandler(io.TextIOWrapper(io.BufferedWriter(Interrupted())))
    log.addHandler(handler)
    log.warning("a line")
    log.removeHandler(handler)
    assert listening.asked == signal.SIGINT
    assert capfd.readouterr().err == "\nSIGINT: stopping after this step; again in a few seconds to stop at once\n"


def test_a_signal_that_stops_at_once_is_not_lost_in_the_log(own_signals):
    log = logging.getLogger("test_stops")
    handler = logging.StreamHandler(io.TextIOWrapper(io.BufferedWriter(Interrupted())))
    log.addHandler(handler)
    try:
        with pytest.raises(Stopped), stops.stopping_at_once():
            log.warning("a line")
    finally:
        log.removeHandler(handler)


def test_the_same_event_told_twice_is_one(listening, monkeypatch):
    signal.raise_signal(signal.SIGUSR1)
    signal.raise_signal(signal.SIGTERM)
    assert listening.asked == signal.SIGUSR1
    monkeypatch.setattr(stops, "_SAME_SIGNAL_SECONDS", 0.0)
    with pytest.raises(Stopped) as stopped:
        signal.raise_signal(signal.SIGTERM)
    assert (stopped.value.number, stopped.value.saved) == (signal.SIGTERM, True)


def test_what_is_ignored_stays_so_and_others_come_back(own_signals):
    earlier = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        heard = Stops(saved=lambda: False)
        heard.listen()
        signal.raise_signal(signal.SIGINT)
        assert heard.asked == 0
        assert signal.getsignal(signal.SIGTERM) == heard._ask
        heard.leave()
        assert signal.getsignal(signal.SIGTERM) is earlier[signal.SIGTERM]
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


TERMINAL = """
import sys, time
from aam.errors import Stopped
from aam.parallel.signals import stopping_at_once
try:
    with stopping_at_once():
        print("ready", flush=True)
        time.sleep(60)
except Stopped as stopped:
    print("nobody reads this", file=sys.stderr, flush=True)
    sys.exit(128 + stopped.number)
"""


def test_a_closed_terminal_stops_as_a_signal_and_what_is_said_to_it_is_no_error(own_signals):
    child, terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", TERMINAL])
    said = b""
    while b"ready" not in said:
        said += os.read(terminal, 100)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 129
