"""Runs compared from their folders."""

import json

import pytest

from aam.errors import InputError
from aam.tracking.runs import compare_runs, read_run


def write_run(folder, *, options="", metrics=None, inputs=None, held_out="s1\n", log="2026-01-01 10:00:00,1 INFO a\n"):
    folder.mkdir()
    (folder / "config.yaml").write_text(f"recipe: ensemble\ntable: /t/{folder.name}.biom\noutput_dir: {folder}\n{options}")
    (folder / "inputs.json").write_text(json.dumps(inputs or {"table": ["abc"]}))
    (folder / "test_samples.txt").write_text(held_out)
    (folder / "aam.log").write_text(log)
    if metrics is not None:
        (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


@pytest.fixture
def two(tmp_path):
    log = "2026-01-01 10:00:00,1 INFO a\nnot a stamp\n2026-01-01 11:02:03,9 INFO b\n"
    one = write_run(tmp_path / "one", options="seed: '1'\ntrees: 'true'\n", metrics={"held_out": {"mae": 2.0, "r2": None}}, log=log)
    return one, write_run(tmp_path / "two", options="seed: '2'\ntrees: 'true'\n")


def test_options_that_differ_scores_and_time_stand_side_by_side(two):
    found = compare_runs(two)
    assert found.header == ["run", "command", "model", "seed", "mae", "time", "state"]
    assert found.rows == [
        [str(two[0]), "train", "ensemble", "1", "2", "1:02:03", "finished"],
        [str(two[1]), "train", "ensemble", "2", "", "0:00:00", "not finished"],
    ]
    assert found.shared == {"aam train, ensemble": {"recipe": "ensemble", "table": "/t/one.biom", "trees": "true"}}
    assert found.warnings == ()
    assert [line.split("\t") for line in found.tsv().splitlines()] == [found.header, *found.rows]
    assert len(found.text().splitlines()) == 3


def test_a_file_of_the_same_content_is_no_difference_and_one_of_another_is(tmp_path, two):
    other = write_run(tmp_path / "other", options="seed: '1'\n", inputs={"table": ["def"]})
    assert "table" not in compare_runs(two).differ
    assert "table" in compare_runs([*two, other]).differ


def test_scores_of_other_samples_are_warned_of(tmp_path, two):
    other = write_run(tmp_path / "other", held_out="s2\n", metrics={"held_out": {"mae": 1.0}})
    assert compare_runs([*two, other]).warnings == (
        "Runs of aam train, ensemble are scored on different held-out samples: their scores do not compare.",
    )


@pytest.mark.parametrize("part", ["val", "train"])
def test_without_test_samples_others_are_scored_and_warned_of(tmp_path, part):
    runs = []
    for name, ids in (("one", "s1\n"), ("two", "s1\n"), ("three", "s2\n")):
        runs.append(write_run(tmp_path / name, held_out="", metrics={"held_out": {"mae": 1.0}}))
        (runs[-1] / "val_samples.txt").write_text("")
        (runs[-1] / f"{part}_samples.txt").write_text(ids)
        (runs[-1] / "config.yaml").write_text("nuc_penalty: '0.5'\n")
    assert compare_runs(runs[:2]).warnings == ()
    assert compare_runs(runs).warnings == (
        "Runs of aam pretrain are scored on different held-out samples: their scores do not compare.",
    )


def test_each_model_of_an_evaluation_has_its_row(tmp_path):
    models = {"AAM": {"mean": {"auc": 0.9}, "coverage": 0.88}, "forest": {"mean": {"auc": 0.8}, "coverage": None}}
    folder = write_run(tmp_path / "one", metrics={"models": models, "verdict": "good"})
    (folder / "config.yaml").write_text("folds: '5'\n")
    found = compare_runs([folder])
    assert [row[1:5] for row in found.rows] == [["evaluate", "AAM", "0.9", "0.88"], ["evaluate", "forest", "0.8", ""]]


def test_several_targets_have_their_names(tmp_path):
    folder = write_run(tmp_path / "one", metrics={"held_out": {"age": {"mae": 2.0}, "bmi": {"mae": 3.0}}})
    assert read_run(folder).scores == {"ensemble": {"age mae": 2.0, "bmi mae": 3.0}}


def test_an_ensemble_of_several_targets_is_finished_with_the_last_of_them(tmp_path):
    folder = write_run(tmp_path / "one")
    (folder / "targets.txt").write_text("age\nbmi\n")
    for name, finished in (("age", False), ("bmi", True)):
        (folder / "targets" / name).mkdir(parents=True)
        (folder / "targets" / name / "metrics.json").write_text(json.dumps({"held_out": {"mae": 2.0}}))
        assert read_run(folder).finished is finished
    assert read_run(folder).scores == {"ensemble": {"age mae": 2.0, "bmi mae": 2.0}}


def test_a_page_says_what_differs_and_escapes_what_it_shows(tmp_path, two):
    odd = write_run(tmp_path / "<b>odd", options="seed: '1'\ntrees: 'false'\n")
    page = compare_runs([*two, odd]).html()
    assert "3 runs; between runs of a kind these options differ: seed, trees." in page
    assert "&lt;b&gt;odd" in page
    assert "<b>odd" not in page
    assert "<h2>What runs of aam train, ensemble share</h2>" in page


BAD = [
    ("config.yaml", "a: [", "cannot be read"),
    ("config.yaml", "just text", "cannot be read"),
    ("config.yaml", "a: 1", "is no run of pretrain, train or evaluate, but of another command"),
    ("config.yaml", "recipe: ensemble\ntrials: '40'", "is no run of pretrain, train or evaluate, but of another command"),
    ("config.yaml", "suite: s.yaml\nfolds: '5'", "is no run of pretrain, train or evaluate, but of another command"),
    ("metrics.json", "{", "cannot be read"),
    ("metrics.json", '{"held_out": 3}', "cannot be read"),
    ("metrics.json", '{"models": {"a": {}}}', "cannot be read"),
    ("metrics.json", "[]", "cannot be read"),
    ("inputs.json", '["a"]', "cannot be read"),
]


@pytest.mark.parametrize(("name", "content", "error"), BAD)
def test_a_broken_folder_is_named_in_one_line(two, name, content, error):
    (two[0] / name).write_text(content)
    with pytest.raises(InputError, match=error) as raised:
        compare_runs(two)
    assert str(two[0]) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_no_run_and_one_run_twice_are_refused(tmp_path, two):
    with pytest.raises(InputError, match="no run is named"):
        compare_runs([])
    with pytest.raises(InputError, match="is named twice"):
        compare_runs([two[0], two[1], two[0] / "." / "."])
    with pytest.raises(InputError, match=r"holds no run \(no config.yaml\)"):
        compare_runs([tmp_path])
