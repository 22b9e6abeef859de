"""Commands run in this process, and fixtures: a small simulated community, and the folders of some runs on it."""

import contextlib
import io
import signal

import pytest

from aam.cli import main
from aam.data.simulate import simulate, write_simulation

TRANSFORMER = ["train", "--recipe", "transformer"]
SMALL = ["--embedding-dim", "16", "--attention-heads", "2", "--attention-layers", "1", "--batch-size", "16", "--lr", "0.003"]


def aam(*arguments, code=0):
    """Run a command in this process, where the imports are already paid for; what it wrote to standard error."""
    with contextlib.redirect_stderr(io.StringIO()) as said:
        assert main([str(argument) for argument in arguments]) == code, said.getvalue()
    assert "Traceback" not in said.getvalue()
    return said.getvalue()


def hear(number):
    """Have a signal do what it does in the foreground of a terminal, whatever runs the tests; what it did before."""
    return signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


@pytest.fixture
def own_signals():
    """Signals are heard, here and by processes that are started: a script in the background, or nohup, has them ignored."""
    before = {number: hear(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def community(tmp_path_factory):
    folder = tmp_path_factory.mktemp("community")
    write_simulation(simulate(0, n_samples=60, n_asvs=60, length=40), folder)
    return folder


@pytest.fixture(scope="module")
def pretrained(community):
    folder = community / "pretrained"
    options = ["--epochs", 4, "--count-penalty", 0.1, "--nuc-mask-strategy", "hybrid", "--test-fraction", 0.2]
    groups = ["--metadata", community / "metadata.tsv", "--group-column", "subject"]
    tables = ["--table", community / "table.biom", "--tree", community / "tree.nwk"]
    aam("pretrain", *tables, *groups, *options, *SMALL, "--output-dir", folder)
    return folder


@pytest.fixture(scope="module")
def regressor(community, pretrained):
    folder = community / "age"
    data = ["--table", community / "table.biom", "--metadata", community / "metadata.tsv", "--metadata-column", "age"]
    groups = ["--group-column", "subject", "--categorical-columns", "sex", "study"]
    aam(*TRANSFORMER, *data, *groups, "--pretrained-encoder", pretrained, "--epochs", 4, *SMALL, "--output-dir", folder)
    return folder
