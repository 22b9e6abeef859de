"""`--track`: what is written, where, and what is not; servers that are there, away, or die; runs that go on."""

import json
import sqlite3
import subprocess
import sys
import time

import pandas as pd
import pytest

from tests.support.commands import SMALL, TRANSFORMER, aam
from tests.support.tracked import INSTALLED, Server, ended, environment, leaked, needs, plant, secrets_of, start

ALL = ",".join(["tensorboard", *INSTALLED])


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    plant(folder)
    return folder


def data_of(folder, column, *more):
    tables = ["--table", folder / "table.biom", "--metadata", folder / "metadata.tsv", "--metadata-column", column]
    return [*tables, "--group-column", "subject", *more]


def transformer(folder, output, track, *more, epochs=2):
    covariates = ["--categorical-columns", "sex", "--where", "sex IN ('qqplantedwoman', 'qqplantedman')"]
    end = ["--epochs", epochs, "--output-dir", output, "--track", track]
    return [*TRANSFORMER, *data_of(folder, "age", *covariates), *SMALL, *end, *more]


def commands(folder, output):
    classes = ["--classifier", "--categorical-columns", "sex", "--no-trees"]
    few = ", ".join(f"'{name}'" for name in pd.read_csv(folder / "metadata.tsv", sep="\t")["subject"].unique()[:4])
    contest = ["--only-baselines", "--leave-one-group-out", "--where", f"subject IN ({few})"]
    end = ["--output-dir", output, "--track", ALL]
    return {
        "transformer": transformer(folder, output, ALL),
        "ensemble": ["train", *data_of(folder, "disease", *classes), *end],
        "evaluate": ["evaluate", *data_of(folder, "age", *contest), *end],
    }


@pytest.mark.parametrize("name", ["transformer", "ensemble", "evaluate"])
def test_nothing_of_a_sample_is_in_any_byte_that_is_written(planted, tmp_path, name):
    said = ended(start(*commands(planted, tmp_path / "out")[name]))
    out = tmp_path / "out"
    for tracker in ALL.split(","):
        assert f"tracked by {tracker}, in {out / 'tracking'}" in said
    secrets = secrets_of(planted, out)
    # The look finds them where they are.
    assert leaked(secrets, out / "folds" if name == "evaluate" else out / "model") or leaked(secrets, out)
    assert leaked({"column": [b"metadata_column"]}, out / "tensorboard" / "run")
    # Curves of a transformer are TensorBoard's as they were: its pictures show validation samples.
    assert leaked(secrets, out / "tracking", out / "tensorboard" / "run") == []
    assert set(json.loads((out / "tracking" / "runs.json").read_text())) == set(ALL.split(","))


def rows(path, question):
    return sqlite3.connect(path).execute(question).fetchall()


def test_mlflow_has_options_steps_and_what_came_out(planted, tmp_path):
    needs("mlflow")
    out = tmp_path / "out"
    ended(start(*transformer(planted, out, "mlflow")))
    ended(start(*transformer(planted, out, "mlflow", "--resume", epochs=4)))
    database = out / "tracking" / "mlflow.db"
    # One run, which went on.
    assert rows(database, "select status from runs") == [("FINISHED",)]
    told = dict(rows(database, "select key, value from params"))
    assert (told["recipe"], told["where"], told["table"]) == ("transformer", "given", "table.biom")
    steps = dict(rows(database, "select key, max(step) from metrics group by key"))
    history = json.loads((out / "metrics.json").read_text())["history"]
    losses = rows(database, "select value from metrics where key = 'val/loss' order by step")
    assert [value for (value,) in losses] == pytest.approx([epoch["val/loss"] for epoch in history])
    for name in ("gradient_norm", "samples_per_second", "memory_mb", "train/loss"):
        assert steps[name] == steps["val/loss"]
    assert any(name.startswith("lr-") for name in steps)
    held_out = json.loads((out / "metrics.json").read_text())["held_out"]["mae"]
    assert rows(database, "select value from metrics where key = 'held_out/mae'")[-1][0] == pytest.approx(held_out)
    kept = {path.relative_to(path.parents[1]).as_posix() for path in (out / "tracking" / "mlflow_files").rglob("*.*")}
    assert {"model/config.json", "model/model.safetensors", "plots/loss.png"} <= kept
    assert "plots/predictions.png" not in kept


def test_wandb_goes_on_under_the_same_id(planted, tmp_path):
    needs("wandb")
    out = tmp_path / "out"
    ended(start(*transformer(planted, out, "wandb")))
    ended(start(*transformer(planted, out, "wandb", "--resume", epochs=4)))
    run = json.loads((out / "tracking" / "runs.json").read_text())["wandb"]["run"]
    written = list((out / "tracking" / "wandb").glob(f"offline-run-*-{run}/run-{run}.wandb"))
    assert len(written) == len(list((out / "tracking" / "wandb").glob("offline-run-*"))) == 2
    assert all(b"gradient_norm" in path.read_bytes() for path in written)


def test_trackio_goes_on_in_the_same_run(planted, tmp_path):
    needs("trackio")
    out = tmp_path / "out"
    ended(start(*transformer(planted, out, "trackio")))
    ended(start(*transformer(planted, out, "trackio", "--resume", epochs=4)))
    database = out / "tracking" / "trackio" / "aam.db"
    assert len(rows(database, "select distinct run_id from metrics")) == 1
    logged = [json.loads(metrics) for (metrics,) in rows(database, "select metrics from metrics order by id")]
    assert len([one for one in logged if "val/loss" in one]) == 4
    assert len([one for one in logged if "held_out/mae" in one]) == 2


@pytest.fixture
def server(request, tmp_path):
    needs(request.param)
    one = Server(request.param, tmp_path / "server")
    yield one.wait()
    one.kill()


@pytest.mark.parametrize("server", ["mlflow", "trackio"], indirect=True)
def test_a_server_that_is_named_is_told_everything_but_what_is_of_samples(planted, tmp_path, server):
    out = tmp_path / "out"
    said = ended(start(*transformer(planted, out, server.name), **server.told))
    assert f"tracked by {server.name}, at http://127.0.0.1:{server.port}\n" in said
    assert "warning: --track" not in said
    # Its database may still be writing.
    time.sleep(3)
    for word in (b"gradient_norm", b"held_out/mae", b"metadata_column", b"model.safetensors"):
        assert leaked({"word": [word]}, server.folder), word
    assert leaked(secrets_of(planted, out), server.folder, out / "tracking") == []
    # What opens the server is not written down.
    assert leaked({"token": [b"plantedtoken"]}, out) == []


@pytest.mark.parametrize("server", ["mlflow", "trackio"], indirect=True)
def test_a_server_that_dies_costs_one_warning(planted, tmp_path, server):
    out = tmp_path / "out"
    process = start(*transformer(planted, out, server.name, epochs=12), **server.told)
    until = time.monotonic() + 120
    while "epoch 2/" not in ((out / "aam.log").read_text() if (out / "aam.log").is_file() else "") and time.monotonic() < until:
        time.sleep(0.05)
    server.kill()
    said = ended(process)
    assert said.count(f"warning: --track {server.name} fails") == 1, said
    assert json.loads((out / "metrics.json").read_text())["epochs"] > 2


AWAY = {
    "mlflow": {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"},
    "wandb": {"WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_API_KEY": "0" * 40},
    "trackio": {"TRACKIO_SERVER_URL": "http://127.0.0.1:9", "TRACKIO_WRITE_TOKEN": "plantedtoken"},
}


@pytest.mark.parametrize("name", AWAY)
def test_a_server_that_is_away_costs_one_warning(planted, tmp_path, name):
    needs(name)
    said = ended(start(*transformer(planted, tmp_path / "out", name), **AWAY[name]))
    assert said.count(f"warning: --track {name} fails, so the rest of this run is not told to it (") == 1
    assert "plantedtoken" not in said
    assert (tmp_path / "out" / "metrics.json").is_file()


def test_several_processes_are_one_tracked_run(planted, tmp_path):
    out = tmp_path / "out"
    ended(start(*transformer(planted, out, ALL, "--devices", 2)))
    assert len(list((out / "tensorboard" / "run").iterdir())) == 1
    if "mlflow" in INSTALLED:
        assert len(rows(out / "tracking" / "mlflow.db", "select * from runs")) == 1
    if "wandb" in INSTALLED:
        assert len(list((out / "tracking" / "wandb").glob("offline-run-*"))) == 1
    if "trackio" in INSTALLED:
        assert len(rows(out / "tracking" / "trackio" / "aam.db", "select distinct run_id from metrics")) == 1


@pytest.mark.parametrize("name", ["mlflow", "wandb", "trackio"])
def test_one_that_is_not_installed_is_named_with_its_extra_before_anything_is_read(planted, tmp_path, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    said = aam(*transformer(tmp_path, tmp_path / "out", f"tensorboard,{name}"), code=2)
    assert said == f"error: --track {name}: is not installed; pip install 'attention-all-microbes[{name}]'\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("neptune", "--track neptune: is not known; choose of tensorboard, mlflow, wandb, trackio, several by commas"),
        ("tensorboard,tensorboard", "--track tensorboard,tensorboard: name each once"),
        ("tensorboard,", "--track : is not known; choose of tensorboard, mlflow, wandb, trackio, several by commas"),
    ],
)
def test_names_that_are_not_known(planted, tmp_path, given, error):
    assert aam(*transformer(planted, tmp_path / "out", given), code=2) == f"error: {error}\n"


PROGRAM = """
import sys
from aam.cli import main
code = main(sys.argv[1:])
sys.stdout.write(" ".join(sys.modules))
sys.exit(code)
"""


def test_no_tracker_is_imported_that_is_not_asked_for(planted, tmp_path):
    words = [str(word) for word in transformer(planted, tmp_path / "out", "tensorboard", epochs=1)]
    words = words[: words.index("--track")]
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], env=environment(), capture_output=True, text=True, timeout=240, check=True
    )
    imported = set(run.stdout.split())
    assert "lightning" in imported
    assert not {"mlflow", "wandb", "trackio", "aam.tracking.on_tensorboard"} & imported
    assert not (tmp_path / "out" / "tracking").exists()
    assert {path.name for path in (tmp_path / "out" / "tensorboard").iterdir()} == {"train", "val"}


def test_runs_are_compared(planted, tmp_path, capsys):
    for seed in (0, 1):
        words = transformer(planted, tmp_path / f"run{seed}", "tensorboard", "--seed", seed, epochs=1)
        aam(*words[: words.index("--track")], "--seed", seed)
    said = aam("runs", tmp_path / "run0", tmp_path / "run1", "--output", tmp_path / "runs.tsv")
    assert "scored on different held-out samples" in said
    written = pd.read_csv(tmp_path / "runs.tsv", sep="\t")
    assert list(written["seed"]) == [0, 1]
    assert list(written["state"]) == ["finished", "finished"]
    assert written["mae"].notna().all()
    assert (tmp_path / "runs.html").read_text().startswith("<!doctype html>")
    assert str(tmp_path / "run1") in capsys.readouterr().out
    again = aam("runs", tmp_path / "run0", "--output", tmp_path / "runs.tsv", code=2)
    assert again == f"error: --output {tmp_path / 'runs.tsv'}: exists; choose another name or --overwrite\n"
    assert aam("runs", tmp_path, code=2).startswith(f"error: {tmp_path}: holds no run (no config.yaml)")
