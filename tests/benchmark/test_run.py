"""Whole benchmarks on a small simulated community: that they go on after a kill, what fails, and what they leave behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.base import BaseEstimator, RegressorMixin

from aam.benchmark.estimators import Estimator
from aam.benchmark.suite import read_suite
from aam.benchmark.work import Bench, in_files, run_pieces
from aam.data.simulate import simulate, write_simulation
from tests.support.commands import aam

QUICK = {"network_steps": 6, "network_min_epochs": 1, "forest_trees": 5, "boosting_rounds": 5}
MODELS = ["trivial", "linear model, presence", "nearest neighbours, UniFrac", "AAM ensemble"]


class Lopsided(RegressorMixin, BaseEstimator):
    """Predicts a column, where a line is wanted."""

    def fit(self, x, y):
        self.width_ = 1
        return self

    def predict(self, x):
        return np.zeros((len(x), self.width_))


class Moody(RegressorMixin, BaseEstimator):
    """Fails where it has few samples, else the mean."""

    def __init__(self, least=1000):
        self.least = least

    def fit(self, x, y):
        if len(y) < self.least:
            raise RuntimeError(f"only {len(y)} samples,\nand it wants {self.least}")
        self.mean_ = y.mean()
        return self

    def predict(self, x):
        return np.full(len(x), self.mean_)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmark")
    write_simulation(simulate(0, n_samples=60, n_asvs=50, length=40), folder)
    question = {"table": "table.biom", "tree": "tree.nwk", "metadata": "metadata.tsv", "group_column": "subject", "folds": 3}
    suite = {
        "title": "Two questions",
        "models": MODELS,
        "shares": [0.5, 1],
        "ensemble": QUICK,
        "estimators": {
            "averages": {"make": f"{__name__}.Moody", "options": {"least": 1}},
            "moody": {"make": f"{__name__}.Moody"},
        },
        "questions": {
            "age": {**question, "metadata_column": "age", "confounder_column": "study"},
            "sex | of whom?": {**question, "metadata_column": "sex", "classifier": True},
        },
    }
    (folder / "suite.yaml").write_text(yaml.safe_dump(suite), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def done(folder):
    out = folder / "out"
    said = aam("benchmark", "--suite", folder / "suite.yaml", "--output-dir", out, "--jobs", 1, "--no-cache")
    return out, said


def test_every_model_is_scored_on_every_question(done):
    out, said = done
    scores = pd.read_csv(out / "scores.tsv", sep="\t").set_index(["question", "share", "model"])
    assert {question for question, _, _ in scores.index} == {"age", "sex | of whom?"}
    # Regressors are not asked for classes.
    assert ("sex | of whom?", 1.0, "averages") not in scores.index
    for model in MODELS:
        row = scores.loc[("age", 1.0, model)]
        assert row["metric"] == "mae"
        assert row["low"] <= row["score"] <= row["high"]
        assert row["seconds"] > 0
        assert scores.loc[("age", 0.5, model), "training_samples"] < row["training_samples"]
    assert scores.loc[("age", 1.0, "trivial"), "gain_over_trivial"] == 0
    # The trivial prediction within the confounder's levels comes with the column.
    assert ("age", 1.0, "trivial of each level") in scores.index
    failed = scores.loc[("age", 1.0, "moody")]
    assert failed["failed"] == "fold 1: RuntimeError: only 41 samples, and it wants 1000"
    assert np.isnan(failed["score"])
    # Once, not for each fold.
    assert said.count("warning: age: moody fails: RuntimeError: only") == 1
    ranks = pd.read_csv(out / "ranks.tsv", sep="\t")
    assert set(ranks["model"]) == set(MODELS) - {"trivial"}
    pairs = pd.read_csv(out / "pairs.tsv", sep="\t")
    assert len(pairs) == 6 * 5 + 4 * 3
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["verdict"].startswith("On 2 questions, the ")


def test_scores_are_those_of_evaluate_at_the_same_options(folder, done, tmp_path):
    options = [word for name, value in QUICK.items() for word in (f"--{name.replace('_', '-')}", value)]
    tables = ["--table", folder / "table.biom", "--tree", folder / "tree.nwk", "--metadata", folder / "metadata.tsv"]
    how = ["--metadata-column", "age", "--group-column", "subject", "--confounder-column", "study", "--folds", 3, "--no-cache"]
    aam("evaluate", *tables, *how, *options, "--output-dir", tmp_path / "e")
    theirs = pd.read_csv(tmp_path / "e" / "summary.tsv", sep="\t").set_index("model")["mae"]
    scores = pd.read_csv(done[0] / "scores.tsv", sep="\t").set_index(["question", "share", "model"])["score"]
    names = {"median": "trivial", "ridge, presence": "linear model, presence", "AAM ensemble": "AAM ensemble"}
    for there, here in {**names, "nearest neighbours, UniFrac": "nearest neighbours, UniFrac"}.items():
        assert scores["age", 1.0, here] == pytest.approx(theirs[there], rel=1e-4)


def test_the_page_and_its_markdown_say_the_same(done):
    out, _ = done
    page, text = (out / "index.html").read_text(), (out / "benchmark.md").read_text()
    assert text.startswith("# Two questions\n")
    for part in ("Scores by number of samples", "Time and memory", "AAM ensemble beside each other model", "moody failed on age"):
        assert part in page
        assert part in text
    assert r"sex \| of whom?" in text
    assert "<script" not in page
    # The cells of each table are as many as its heading has.
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        assert len({line.count("|") - line.count(r"\|") for line in table.splitlines()}) == 1
    # A picture for each question, and one of the ranks.
    assert len(re.findall(r"<svg role=", page)) == 3


def test_what_is_there_is_not_computed_again_and_new_models_are(folder, done, tmp_path):
    out, _ = done
    before = {path: path.stat().st_mtime_ns for path in (out / "pieces").rglob("[!.]*.npz")}
    scores = (out / "scores.tsv").read_text()
    suite = yaml.safe_load((folder / "suite.yaml").read_text())
    suite["models"].append("linear model, CLR")
    (folder / "more.yaml").write_text(yaml.safe_dump(suite))
    said = aam("benchmark", "--suite", folder / "more.yaml", "--output-dir", out, "--jobs", 1, "--resume", "--no-cache")
    assert f"{len(before)} of {len(before) + 6 + 12} answers are there" in said
    after = {path: path.stat().st_mtime_ns for path in (out / "pieces").rglob("[!.]*.npz")}
    assert {path: after[path] for path in before} == before
    assert len(after) == len(before) + 12
    again = pd.read_csv(out / "scores.tsv", sep="\t")
    assert "linear model, CLR" in set(again["model"])
    aam("benchmark", "--suite", folder / "suite.yaml", "--output-dir", out, "--jobs", 1, "--resume", "--no-cache")
    assert (out / "scores.tsv").read_text() == scores


def test_other_data_and_other_options_are_other_work(folder):
    suite = read_suite(folder / "suite.yaml")
    bench = Bench(suite, folder / "keys")
    paths = {piece.path for piece in bench.pieces("age", bench.ask("age", built=False), ["AAM ensemble", "trivial"])}
    assert len(paths) == 2 * 2 * 3
    other = Bench(replace(suite, ensemble=replace(suite.ensemble, forest_trees=6)), folder / "keys")
    changed = {piece.path for piece in other.pieces("age", other.ask("age", built=False), ["AAM ensemble", "trivial"])}
    # Only the ensemble has these options.
    assert len(paths & changed) == 6
    question = replace(suite.questions["age"], reads=replace(suite.questions["age"].reads, sampling_depth=100))
    shallow = Bench(replace(suite, questions={"age": question}), folder / "keys")
    assert not paths & {piece.path for piece in shallow.pieces("age", shallow.ask("age", built=False), ["AAM ensemble", "trivial"])}


def test_relative_paths_begin_where_a_benchmark_is_run(folder, tmp_path, monkeypatch):
    """Workers are those of the benchmark before, which may have been run elsewhere."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        for file in ("table.biom", "tree.nwk", "metadata.tsv", "suite.yaml"):
            (tmp_path / name / file).write_bytes((folder / file).read_bytes())
        monkeypatch.chdir(tmp_path / name)
        suite = replace(read_suite("suite.yaml"), shares=(1.0,))
        bench = Bench(suite, Path("out"), 2)
        pieces = bench.pieces("age", bench.ask("age", built=False), ["trivial", "linear model, presence"])
        assert all(answer.failed is None for answer in run_pieces(bench, pieces).values())
        assert len(list(Path("out").rglob("*.npz"))) == 6


def test_several_jobs_give_the_same_bits(folder, done, tmp_path):
    suite = read_suite(folder / "suite.yaml")
    bench = Bench(suite, tmp_path, 2)
    models = ["trivial", "nearest neighbours, UniFrac", "AAM ensemble"]
    pieces = bench.pieces("age", bench.ask("age", built=False), models)
    answers = run_pieces(bench, pieces)
    alone = Bench(suite, done[0])
    for piece, other in zip(pieces, alone.pieces("age", alone.ask("age", built=False), models), strict=True):
        with np.load(other.path) as kept:
            np.testing.assert_array_equal(answers[piece].predicted, kept["predicted"])


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_with_the_same_bits(folder, done, tmp_path):
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "aam", "benchmark", "--suite", folder / "suite.yaml", "--output-dir", out, "--no-cache"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *filter(None, [os.environ.get("PYTHONPATH")])])}
    run = subprocess.Popen([*command, "--jobs", "2"], env=environment, stderr=subprocess.DEVNULL, start_new_session=True)
    end = time.monotonic() + 300
    while len(list((out / "pieces").rglob("[!.]*.npz"))) < 2 and time.monotonic() < end and run.poll() is None:
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    kept = {path: path.stat().st_mtime_ns for path in (out / "pieces").rglob("[!.]*.npz")}
    assert 2 <= len(kept) < 40
    aam(*map(str, command[3:]), "--jobs", 1, "--resume")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    names = ["question", "share", "model", "score", "low", "high", "gain_over_trivial"]
    mine, theirs = (pd.read_csv(place / "scores.tsv", sep="\t")[names] for place in (out, done[0]))
    pd.testing.assert_frame_equal(mine, theirs)


def test_check_fits_nothing_and_says_what_misleads(folder, tmp_path, capsys):
    said = aam("benchmark", "--suite", folder / "suite.yaml", "--output-dir", tmp_path / "c", "--check", "--no-cache")
    assert not (tmp_path / "c" / "pieces").exists()
    checks = pd.read_csv(tmp_path / "c" / "checks.tsv", sep="\t")
    assert set(checks["question"]) <= {"age", "sex | of whom?"}
    printed = capsys.readouterr().out
    for _, (question, finding) in checks.iterrows():
        assert f"{question}: {finding}" in printed
        assert f"warning: {question}: {finding}" in said


def test_what_cannot_be_asked_is_one_line_that_names_the_question(folder, tmp_path):
    suite = yaml.safe_load((folder / "suite.yaml").read_text())
    suite["questions"]["age"]["metadata_column"] = "agee"
    (folder / "wrong.yaml").write_text(yaml.safe_dump(suite))
    said = aam("benchmark", "--suite", folder / "wrong.yaml", "--output-dir", tmp_path / "w", code=2)
    assert re.search(r"error: age: .*agee", said)
    suite["questions"]["age"]["metadata_column"] = 3
    (folder / "wrong.yaml").write_text(yaml.safe_dump(suite))
    said = aam("benchmark", "--suite", folder / "wrong.yaml", "--output-dir", tmp_path / "v", code=2)
    assert "questions: age: --metadata-column 3: must be text" in said
    assert not (tmp_path / "v").exists()


def test_names_of_files_stay_apart():
    names = ["a/b", "a:b", "a-b", "b/a", "a/", "a-191", "a/b.c", "a-b/c", "x" * 300, "x" * 301, "?", "!"]
    assert len({in_files(name) for name in names}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9-]{1,60}", in_files(name)) for name in names)


def test_predictions_of_another_shape_fail_and_are_not_kept(folder, tmp_path):
    suite = yaml.safe_load((folder / "suite.yaml").read_text())
    suite |= {"models": ["linear model, presence"], "shares": [1], "estimators": {"lopsided": f"{__name__}.Lopsided"}}
    del suite["questions"]["sex | of whom?"]
    (folder / "lopsided.yaml").write_text(yaml.safe_dump(suite))
    out = tmp_path / "l"
    said = aam("benchmark", "--suite", folder / "lopsided.yaml", "--output-dir", out, "--jobs", 1, "--no-cache")
    assert re.search(r"age: lopsided fails: predictions of the shape \((\d+), 1\), where \(\1,\) is wanted", said)
    assert not [path for path in (out / "pieces").rglob("*.npz") if "lopsided" in path.name]
    suite |= {"models": [], "estimators": dict.fromkeys(("one", "other"), f"{__name__}.Lopsided")}
    (folder / "lopsided.yaml").write_text(yaml.safe_dump(suite))
    said = aam("benchmark", "--suite", folder / "lopsided.yaml", "--output-dir", tmp_path / "m", "--jobs", 1, "--no-cache", code=2)
    assert "error: every model failed; the first one: one, fold 1: predictions of the shape" in said


def test_a_model_that_was_changed_is_another_one(folder, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    source = tmp_path / "theirs_changed.py"
    source.write_text("from sklearn.dummy import DummyRegressor as Base\nclass Model(Base):\n    pass\n")
    before = Estimator.of("e", "theirs_changed.Model", "").source("regression")
    source.write_text(source.read_text() + "# Another one.\n")
    assert Estimator.of("e", "theirs_changed.Model", "").source("regression") != before


def test_the_share_of_validation_samples_is_in_the_key(folder):
    suite = read_suite(folder / "suite.yaml")
    question = suite.questions["age"]
    other = replace(question, samples=replace(question.samples, val_fraction=0.4))
    keys = set()
    for one in (question, other):
        bench = Bench(replace(suite, questions={"age": one}), folder / "keys")
        keys.add(bench.ask("age", built=False).key)
    assert len(keys) == 2
