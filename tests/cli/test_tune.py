"""`aam tune`: what it writes, that its best options train, that it goes on, and what is said of bad input."""

import re
import subprocess
import sys

import pandas as pd
import pytest
import yaml

from tests.support.commands import SMALL, aam, community, pretrained  # noqa: F401 - fixtures

SMALL_ENSEMBLE = ["--network-steps", 6, "--network-min-epochs", 1, "--forest-trees", 5, "--boosting-rounds", 5]
SPACE = "known_asv_samples: [2, 3]\nboosting_lr: {low: 0.01, high: 0.1, log: true}\n"
WRITTEN = {
    "aam.log", "best.yaml", "config.yaml", "inputs.json", "metrics.json", "study.db", "test_samples.txt", "train_samples.txt",
    "trials.tsv", "tune.html", "val_samples.txt",
}  # fmt: skip


@pytest.fixture
def words(community, tmp_path):  # noqa: F811 - the fixture
    (tmp_path / "space.yaml").write_text(SPACE)
    data = ["--table", community / "table.biom", "--metadata", community / "metadata.tsv", "--metadata-column", "age"]
    return [*data, "--group-column", "subject", "--output-dir", tmp_path / "out", "--jobs", 1, *SMALL_ENSEMBLE]


def test_a_search_writes_what_it_says_and_its_best_options_train(words, tmp_path):
    pytest.importorskip("optuna")
    said = aam("tune", *words, "--space", tmp_path / "space.yaml", "--trials", 3)
    out = tmp_path / "out"
    assert {path.name for path in out.iterdir()} == WRITTEN
    assert len(re.findall(r"^trial \d of 3: .* left$", said, re.M)) == 3
    assert re.search(r"^Tuning (bought nothing|helps|harms)", said, re.M)
    trials = pd.read_csv(out / "trials.tsv", sep="\t")
    assert trials["known_asv_samples"].tolist()[0] == 3
    assert trials["chosen"].eq("yes").sum() == 1
    best, chosen = yaml.safe_load((out / "best.yaml").read_text()), trials[trials["chosen"] == "yes"].iloc[0]
    assert (best["known_asv_samples"], best["boosting_lr"]) == (chosen["known_asv_samples"], pytest.approx(chosen["boosting_lr"]))
    assert "<html" in (out / "tune.html").read_text()

    # Nothing is done again; more trials go on.
    again = aam("tune", *words, "--space", tmp_path / "space.yaml", "--trials", 4, "--resume")
    assert "going on after 3 trials" in again
    assert pd.read_csv(out / "trials.tsv", sep="\t").iloc[:3, :3].equals(trials.iloc[:, :3])

    aam("train", "--config", out / "best.yaml", "--output-dir", tmp_path / "model")
    score = yaml.safe_load((tmp_path / "model" / "metrics.json").read_text())["held_out"]["mae"]
    assert (tmp_path / "model" / "test_samples.txt").read_text() == (out / "test_samples.txt").read_text()
    assert score == yaml.safe_load((out / "metrics.json").read_text())["tuned"]["mae"]


def test_a_transformer_is_searched(words, tmp_path):
    pytest.importorskip("optuna")
    data = words[: words.index("--jobs")]
    space = tmp_path / "rates.yaml"
    space.write_text("lr: [1e-3, 5e-3]\n")
    aam("tune", *data, "--recipe", "transformer", "--epochs", 1, *SMALL, "--space", space, "--trials", 2)
    assert len((tmp_path / "out" / "trials.tsv").read_text().splitlines()) == 3
    assert not (tmp_path / "out" / "checkpoints").exists()


def test_a_head_on_a_pretrained_encoder_is_searched_without_its_shape(words, pretrained, tmp_path):  # noqa: F811 - the fixture
    pytest.importorskip("optuna")
    data = [*words[: words.index("--jobs")], "--recipe", "transformer", "--pretrained-encoder", pretrained, "--freeze-base"]
    aam("tune", *data, "--epochs", 2, "--trials", 2)
    trials = pd.read_csv(tmp_path / "out" / "trials.tsv", sep="\t")
    assert {"lr", "dropout", "weight_decay"} <= set(trials.columns)
    assert not {"embedding_dim", "attention_layers"} & set(trials.columns)
    aam("train", "--config", tmp_path / "out" / "best.yaml", "--output-dir", tmp_path / "model")
    scores = [yaml.safe_load((tmp_path / name / "metrics.json").read_text()) for name in ("out", "model")]
    assert scores[0]["tuned"]["mae"] == pytest.approx(scores[1]["held_out"]["mae"], rel=1e-6)


def test_a_file_of_another_search_is_told_before_the_table_is_read(words, tmp_path):
    pytest.importorskip("optuna")
    storage = ["--storage", tmp_path / "new" / "mine.db", "--space", tmp_path / "space.yaml"]
    aam("tune", *words, *storage, "--trials", 1)
    words[words.index("--output-dir") + 1] = tmp_path / "other"
    said = aam("tune", *words, *storage, "--trials", 1, "--seed", 1, code=2)
    assert said == (
        f"error: --storage {tmp_path / 'new' / 'mine.db'}: holds another search, with seed 0, and not 1; name another file, "
        "or search the same\n"
    )
    said = aam("tune", *words, *storage, "--trials", 1, "--cross-fit-folds", 2, code=2)
    assert "mine.db: holds another search, with cross_fit_folds 5, and not 2; name another file" in said
    assert aam("tune", *words, *storage, "--trials", 1, "--overwrite").count("\ntrial ") == 0


def test_a_search_with_covariates_goes_on(words, tmp_path):
    pytest.importorskip("optuna")
    metadata = pd.read_csv(words[words.index("--metadata") + 1], sep="	", dtype=str)
    metadata.assign(weight=range(len(metadata))).to_csv(tmp_path / "metadata.tsv", sep="	", index=False)
    words[words.index("--metadata") + 1] = tmp_path / "metadata.tsv"
    space = ["--space", tmp_path / "space.yaml", "--categorical-columns", "sex", "--numeric-columns", "weight"]
    assert "Nothing was tried but the options as they were given." in aam("tune", *words, *space, "--trials", 1)
    assert "going on after 1 trial\n" in aam("tune", *words, *space, "--trials", 1, "--resume")


SAID = [
    (["--trials", "0"], "--trials 0: must be at least 1"),
    (["--timeout", "2 hours"], "--timeout 2 hours: must be a time above 0: 90s, 30m, 2h, 1d"),
    (["--timeout", "0h"], "--timeout 0h: must be a time above 0: 90s, 30m, 2h, 1d"),
    (["--test-fraction", "0"], "--test-fraction 0: test samples, which no trial sees, say what tuning buys; set some aside"),
    (["--augment", "auto"], "--augment auto is chosen by each fit: name augmentations in --space, or leave it out"),
    (["--track", "tensorboard"], "--track tensorboard: a search is told to no tracker; leave it out"),
    (["--target-weights", "age=1"], "--target-weights"),
    (["--storage", "text.db"], "--storage text.db: is no SQLite file; name another file, which need not be there"),
    (["--storage", "."], "--storage .: is a folder; name a file in it"),
    (["--storage", "text.db/study.db"], "--storage text.db/study.db: cannot write there (text.db is a file, not a folder)"),
    (["--space", "nowhere.yaml"], "--space nowhere.yaml: does not exist; check the path to this file"),
    (
        ["--space", "typo.yaml"],
        "--space typo.yaml: boostng_lr: is no option that can be searched with --recipe ensemble; near it are boosting_lr, "
        "boosting_rounds",
    ),
    (["--space", "type.yaml"], "--space type.yaml: boosting_lr: --boosting-lr 'high': must be a number"),
    (
        ["--recipe", "transformer"],
        "--network-steps, --network-min-epochs, --forest-trees, --boosting-rounds, --jobs belong to --recipe ensemble",
    ),
]


@pytest.mark.parametrize(("more", "error"), SAID, ids=[" ".join(more) for more, _ in SAID])
def test_bad_input_is_one_line_before_the_table_is_read(words, tmp_path, monkeypatch, more, error):
    pytest.importorskip("optuna")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.db").write_text("no database")
    (tmp_path / "typo.yaml").write_text("boostng_lr: [0.1]")
    (tmp_path / "type.yaml").write_text("boosting_lr: [high]")
    said = aam("tune", *words, *more, code=2)
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert said.removeprefix("error: ").startswith(error)
    assert not (tmp_path / "out").exists()


WITHOUT = """
import sys
sys.modules["optuna"] = None
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == "optuna" else found(name, *more)
from aam.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_optuna_is_asked_for_where_it_is_not_installed(words, tmp_path):
    run = subprocess.run([sys.executable, "-c", WITHOUT, "tune", *map(str, words)], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert run.stderr == "error: tuning needs optuna: pip install 'attention-all-microbes[tune]'\n"
    assert not (tmp_path / "out").exists()


LOADED = "import sys; from aam.cli import main; code = main(sys.argv[1:]); sys.stdout.write(' '.join(sys.modules)); sys.exit(code)"


def test_training_loads_nothing_of_tuning(words):
    known = [*words[: words.index("--jobs")], *SMALL_ENSEMBLE]
    run = subprocess.run([sys.executable, "-c", LOADED, "train", *map(str, known)], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert "sklearn" in loaded
    assert not {"optuna", "sqlalchemy", "alembic", "aam.tuning"} & loaded
