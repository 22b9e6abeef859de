"""A tracker that fails costs one warning, not the run."""

import json
import logging

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from aam.parallel.ranks import heed_launcher
from aam.tracking.tracked import Tracked, tracked_run


def events(folder):
    found = EventAccumulator(str(folder / "tensorboard" / "run"), size_guidance={"scalars": 0})
    found.Reload()
    return found


def test_a_run_is_told_from_its_options_to_what_came_out(tmp_path):
    with tracked_run(["tensorboard"], tmp_path) as run:
        run.begin("aam train", {"lr": 0.1})
        about = {"held_out": {"mae": 2.5}, "held_out_samples": 4, "held_out_part": "test", "best_epoch": 3}
        (tmp_path / "metrics.json").write_text(json.dumps(about))
    found = events(tmp_path)
    assert {tag: found.Scalars(tag)[0].value for tag in found.Tags()["scalars"]} == {
        "held_out/mae": 2.5,
        "held_out_samples": 4,
        "best_epoch": 3,
    }
    assert {"options/text_summary", "verdict/text_summary"} <= set(found.Tags()["tensors"])


def test_a_failed_run_is_closed_without_what_came_out(tmp_path):
    (tmp_path / "metrics.json").write_text(json.dumps({"held_out": {"mae": 2.5}}))
    with pytest.raises(KeyboardInterrupt), tracked_run(["tensorboard"], tmp_path) as run:
        run.begin("aam train", {"lr": 0.1})
        raise KeyboardInterrupt
    assert events(tmp_path).Tags()["scalars"] == []


def test_one_that_cannot_be_opened_costs_one_warning(tmp_path, caplog):
    (tmp_path / "tensorboard").write_text("a file, and a folder is wanted")
    with caplog.at_level(logging.WARNING), tracked_run(["tensorboard"], tmp_path) as run:
        run.begin("aam train", {"lr": 0.1})
        run.metrics({"loss": 1.0}, 0)
    assert [record.getMessage()[:70] for record in caplog.records] == [
        "`track=tensorboard` fails, so the rest of this run is not told to it ("
    ]


def test_one_that_fails_later_costs_one_warning(tmp_path, caplog):
    with caplog.at_level(logging.WARNING), tracked_run(["tensorboard"], tmp_path) as run:
        run.begin("aam train", {"lr": 0.1})
        (tmp_path / "plots").mkdir()
        (tmp_path / "plots" / "loss.png").write_text("no picture")
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_results_that_cannot_be_gathered_cost_one_warning(tmp_path, caplog):
    with caplog.at_level(logging.WARNING), tracked_run(["tensorboard"], tmp_path) as run:
        run.begin("aam train", {"lr": 0.1})
        run.metrics({"loss": 1.0}, 0)
        (tmp_path / "metrics.json").write_text("{")
    assert [record.getMessage()[:69] for record in caplog.records] == [
        "`track=tensorboard`: what came out of this run is not told (JSONDecod"
    ]
    assert "options/text_summary" in events(tmp_path).Tags()["tensors"]


def test_other_ranks_write_nothing(tmp_path, monkeypatch):
    told = {"TORCHELASTIC_RUN_ID": "x", "RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    heed_launcher()
    try:
        run = Tracked(["tensorboard"], tmp_path)
    finally:
        heed_launcher(False)
    run.begin("aam train", {"lr": 0.1})
    run.end("finished")
    assert list(tmp_path.iterdir()) == []
