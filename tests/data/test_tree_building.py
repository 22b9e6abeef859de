"""A tree that is built: close to the true one, the same however many cores there are, and never a silent wait."""

import io
import os
import re
import signal
import sys
import threading
import time

import numpy as np
import pytest
from skbio import TreeNode

from aam import progress
from aam.data import programs
from aam.data.phylogeny import Phylogeny
from aam.data.programs import run_program
from aam.data.simulate import simulate
from aam.data.tree_building import _root_at_midpoint, build_tree, tree_recipe
from aam.errors import InputError, Stopped
from aam.parallel.signals import stopping_at_once


def newick(text):
    return TreeNode.read(io.StringIO(text), format="newick", convert_underscores=False)


def test_built_tree_is_close_to_the_true_one():
    simulation = simulate(3, n_samples=8, n_asvs=60)
    ids = [f"id {number}'(x)" for number in range(60)]
    built = build_tree(simulation.sequences, ids)
    true = simulation.tree.cophenet(simulation.sequences).filter(simulation.sequences).data
    assert np.corrcoef(built.cophenet(ids).filter(ids).data.ravel(), true.ravel())[0, 1] > 0.9
    assert len(built.children) == 2
    depths = [max(tip.depth() for tip in child.tips(include_self=True)) for child in built.children]
    assert depths[0] == pytest.approx(depths[1])
    assert Phylogeny.from_tree(built, ids).missing == ()


A, B, C = "ACGTTGCATTAGCCATACGA", "ACGTTGCATTAGCCATTTTT", "ACCTTGAATTAGGCATACGA"


@pytest.mark.parametrize(
    "sequences",
    [[A, B], [A, B, A], [A, B, C], [A, B, C, B.lower(), C.replace("T", "U")], ["RYKMSWN" + A, B, C, A, "N"]],
)
def test_few_equal_and_ambiguous_sequences(sequences):
    ids = [f"asv{number}" for number in range(len(sequences))]
    tree = build_tree(sequences, ids)
    assert sorted(tip.name for tip in tree.tips()) == ids
    assert Phylogeny.from_tree(tree, ids).missing == ()
    for first, sequence in zip(ids, sequences, strict=True):
        for second, other in zip(ids, sequences, strict=True):
            apart = tree.find(first).distance(tree.find(second))
            same = sequence.upper().replace("U", "T") == other.upper().replace("U", "T")
            assert (apart == 0) == same, (first, second)


def test_without_the_tree_packages(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyfamsa", None)
    with pytest.raises(InputError, match=r"pip install 'attention-all-microbes\[tree\]' or give `tree`"):
        build_tree([A, B], ["a", "b"])


@pytest.mark.parametrize(
    "text",
    [
        "(a:1,b:5,c:2);",
        "((a:1,b:1):1,(c:4,d:1):0.5,e:1);",
        # The two halves differ by rounding alone.
        "((a:0.1,c:0.1):0.2,b:0.3);",
        "(b:0.3,(a:0.1,c:0.1):0.2);",
        "(a:2,b:0,c:0);",
    ],
)
def test_midpoint(text):
    tree = newick(text)
    tips = [tip.name for tip in tree.tips()]
    before = tree.cophenet(tips)
    rooted = _root_at_midpoint(tree)
    np.testing.assert_allclose(rooted.cophenet(tips).filter(tips).data, before.filter(tips).data, atol=1e-12)
    assert max(tip.depth() for tip in rooted.tips()) == pytest.approx(before.data.max() / 2)


@pytest.mark.parametrize(
    ("sequences", "which"), [([A], "the table has one ASV"), ([A, A.lower(), A], "all 3 ASVs have one sequence")]
)
def test_one_sequence_has_no_distances(sequences, which):
    with pytest.raises(InputError, match=f"^{which}: all distances between the samples are 0, and nothing can be learned"):
        build_tree(sequences, [str(number) for number in range(len(sequences))])


def test_the_tree_is_that_of_one_thread_whatever_there_is(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    called = []
    run = programs.Popen
    monkeypatch.setattr(programs, "Popen", lambda command, **how: called.append((command, how["env"])) or run(command, **how))
    many, recipe = str(build_tree([A, B, C], ["a", "b", "c"])), tree_recipe()
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert (str(build_tree([A, B, C], ["a", "b", "c"])), tree_recipe()) == (many, recipe)
    assert "thread" not in recipe
    command, _ = called[1]
    assert command[command.index("-threads") + 1] == "1"
    for _, environment in called:
        assert environment["OMP_NUM_THREADS"] == "1"
        assert environment["OMP_WAIT_POLICY"] == "passive"
        assert environment["GOMP_SPINCOUNT"] == "0"


def python(code):
    return [sys.executable, "-c", code]


SLEEP = python("import os, sys, time; sys.stderr.write(str(os.getpid())); sys.stderr.flush(); time.sleep(60)")


def test_what_a_program_says():
    text = "x" * 300_000
    assert (
        run_program(python("import sys; sys.stdout.write(sys.stdin.read()[::-1])"), f"{text}y", "Turning", 60, "wait") == f"y{text}"
    )
    with pytest.raises(InputError, match=r"^Trying: no way \(exit code 3\); go on$"):
        run_program(python("import sys; sys.stderr.write('first\\nno way'); sys.exit(3)"), "", "Trying", 60, "go on")
    with pytest.raises(InputError, match=r"^Trying: no message \(signal 9\); go on$"):
        run_program(python("import os; os.kill(os.getpid(), 9)"), text, "Trying", 60, "go on")
    missing = "import sys; sys.exit('error while loading shared libraries: libgomp.so.1: cannot open shared object file')"
    with pytest.raises(InputError, match=r"libgomp.so.1: .* \(exit code 1\); install that library .*libgomp1\), or go on$"):
        run_program(python(missing), "", "Trying", 60, "go on")


def ended(before):
    """Whether no process is left that this one started since."""
    import psutil

    return not [child for child in psutil.Process().children() if child not in before and child.status() != psutil.STATUS_ZOMBIE]


def test_a_program_that_does_not_end():
    import psutil

    before = psutil.Process().children()
    with pytest.raises(InputError, match=r"^Sleeping: no end after 0 minutes \(is the machine very busy\?\); give `tree`$"):
        run_program(SLEEP, "", "Sleeping", 0.1, "give `tree`")
    assert ended(before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_the_program_too(number, monkeypatch):
    import psutil

    before = psutil.Process().children()
    # The suite may run where Ctrl-C is ignored.
    old = signal.signal(number, signal.default_int_handler)
    timer = threading.Timer(0.7, os.kill, (os.getpid(), number))
    timer.start()
    begin = time.monotonic()
    try:
        with pytest.raises(Stopped), stopping_at_once():
            run_program(SLEEP, "", "Sleeping", 60, "wait")
    finally:
        timer.join()
        signal.signal(number, old)
    assert time.monotonic() - begin < 20
    assert ended(before)


def test_a_sign_of_life_where_there_is_no_terminal(monkeypatch, caplog):
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.5)
    with caplog.at_level("INFO", "aam"):
        run_program(python("import time; time.sleep(1.7)"), "", "Sleeping", 60, "wait")
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) >= 2
    assert all(re.fullmatch(r"Sleeping: [0-2] s so far", line) for line in lines)
