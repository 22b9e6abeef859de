"""What a report of a problem needs."""

import shutil
from importlib.metadata import PackageNotFoundError

import pytest
import torch

from aam import __version__
from aam.cli import main
from aam.cli.run import diagnosis
from aam.distances.unifrac import UniFrac
from aam.evaluation.self_test import CHECKS, Check, run_check


def test_one_screen_of_facts_and_a_self_test(capsys):
    assert main(["doctor"]) == 0
    said, errors = capsys.readouterr()
    assert errors == "everything works\n"
    lines = said.splitlines()
    # 24 lines of a terminal, but for the packages, which fold.
    assert len(lines) < 20
    facts = {line[:12].strip(): line[12:] for line in lines if line[:12].strip()}
    assert facts["AAM"].startswith(__version__)
    # Without the build (+cu130), which the package's metadata may not have.
    assert f"torch {torch.__version__.partition('+')[0]}" in facts["packages"]
    assert "MISSING" not in facts["packages"]
    assert ("g++ found" in facts["optional"]) == bool(shutil.which("g++"))
    assert "math" in facts["attention"]
    assert sum(": ok, " in line for line in lines) == len(CHECKS)


def test_optional_packages_are_named_with_the_extra_that_brings_them(monkeypatch):
    needs = [
        "h5py>=3.11",
        'optuna<6,>=5; extra == "tune"',
        'absent_one>=1; extra == "tree"',
        'mypy; extra == "dev"',
        'sphinx<10; extra == "docs"',
    ]
    needs += ['attention-all-microbes[tree]; extra == "all"']
    monkeypatch.setattr(diagnosis, "requires", lambda package: needs)
    monkeypatch.setattr(diagnosis, "version", known)
    assert list(diagnosis._packages(extra=False)) == ["h5py 1.0"]
    assert list(diagnosis._packages(extra=True)) == [
        "optuna 1.0",
        "absent_one not found (pip install 'attention-all-microbes[tree]')",
    ]


def known(package):
    if package == "absent_one":
        raise PackageNotFoundError
    return "1.0"


def test_without_the_self_test(capsys):
    assert main(["doctor", "--no-self-test"]) == 0
    assert "ok" not in capsys.readouterr().out


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_check_that_finds_a_fault_says_so(check, monkeypatch):
    monkeypatch.setattr("aam.evaluation.self_test.UniFrac", lambda phylogeny, *_: UniFrac(phylogeny, "generalized"))
    monkeypatch.setattr("aam.evaluation.self_test._STEPS", 1)
    monkeypatch.setattr("aam.saved.transformer.load_file", lambda path: {})
    monkeypatch.setattr("aam.data.tree_building.run_program", lambda *_: "(0:1,1:2);")
    assert not run_check(check).good
    assert run_check(Check("nothing", lambda: "fine")).line.startswith("nothing: ok, fine")


def test_a_tree_is_not_tried_without_what_builds_it(monkeypatch):
    (check,) = (check for check in CHECKS if check.name == "a tree is built")
    assert "40 tips" in run_check(check).line
    monkeypatch.setattr("aam.evaluation.self_test.find_spec", lambda name: None)
    assert run_check(check).line == "a tree is built: skipped, the extra `tree` is not installed"
