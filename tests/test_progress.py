"""What is shown of progress, where, and how often."""

import io
import sys
import warnings

import pytest

from aam import progress
from aam.cli import main
from aam.cli.run.log import end_file_logs, log_to_file, set_up_logging
from aam.progress import track
from tests.support.commands import SMALL, TRANSFORMER


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)


def shown(monkeypatch, stream, number=1000):
    monkeypatch.setattr(sys, "stderr", stream)
    assert list(track(iter(range(number)), "Reading", number)) == list(range(number))
    return stream.getvalue()


def test_a_line_at_each_tenth_where_there_is_no_terminal(monkeypatch, at_once):
    lines = shown(monkeypatch, io.StringIO()).splitlines()
    assert lines == [f"Reading: {tenth} %" for tenth in range(10, 101, 10)]


def test_nothing_of_what_is_done_at_once(monkeypatch):
    assert shown(monkeypatch, io.StringIO()) == ""


def test_a_bar_on_a_terminal_and_nothing_on_a_dumb_one(monkeypatch, at_once):
    monkeypatch.setenv("TERM", "xterm")
    assert "100%" in shown(monkeypatch, Terminal())
    monkeypatch.setenv("TERM", "dumb")
    assert shown(monkeypatch, Terminal()) == shown(monkeypatch, io.StringIO()) == ""


@pytest.mark.parametrize(("terminal", "epochs"), [(True, ["Epoch 1/2 ", "Epoch 2/2 "]), (False, ["Epoch 1/2: ", "Epoch 2/2: "])])
def test_epochs_count_from_one(community, tmp_path, monkeypatch, at_once, terminal, epochs):
    monkeypatch.setenv("TERM", "xterm")
    said = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    data = ["--table", community / "table.biom", "--metadata", community / "metadata.tsv", "--metadata-column", "age"]
    words = [*TRANSFORMER, *data, "--epochs", 2, *SMALL, "--output-dir", tmp_path / "out"]
    assert main([str(word) for word in words]) == 0
    text = said.getvalue()
    assert all(epoch in text for epoch in epochs)
    assert "Epoch 0" not in text
    lines = text.splitlines()
    assert lines.count("each epoch: its loss and scores, training | validation") == 1
    assert [line.split("  ")[1] for line in lines if "baseline" in line] == ["mae of the baseline (median)"]
    if not terminal:
        assert max(lines.count(line) for line in lines if "%" in line) == 1


def test_warnings_of_libraries_are_kept_in_the_log_and_ours_are_said(tmp_path, capsys):
    """On the terminal only where a command has no log, and then in one line."""
    set_up_logging()
    try:
        warnings.warn_explicit("with no\nlog", UserWarning, "/lib/torch/nn.py", 7)
        log_to_file(tmp_path / "aam.log")
        warnings.warn_explicit("of nested tensors", UserWarning, "/lib/torch/nn.py", 7)
        warnings.warn_explicit("of ours", UserWarning, progress.__file__, 7)
    finally:
        end_file_logs()
    assert capsys.readouterr().err == "warning: with no log\nwarning: of ours\n"
    assert "UserWarning: of nested tensors (/lib/torch/nn.py:7)" in (tmp_path / "aam.log").read_text()
