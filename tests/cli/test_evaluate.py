"""``aam evaluate`` as a user runs it, on a small simulated community."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from biom import Table

from aam.data.simulate import simulate, write_simulation
from aam.data.table import FeatureTable, read_table
from aam.errors import InputError
from aam.evaluation.robustness import PERTURBATIONS
from aam.learners import baselines
from tests.support.commands import SMALL, aam

QUICK = ["--network-steps", 6, "--network-min-epochs", 1, "--forest-trees", 5, "--boosting-rounds", 5]
VOID = {"meta", "br", "link"}


@pytest.fixture(scope="module", autouse=True)
def quick_baselines():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "_TREES", 5)
        patch.setattr(baselines, "_TREES_TO_CHOOSE", 5)
        patch.setattr(baselines, "_BOOSTS", 5)
        patch.setattr(baselines, "_PENALTIES", (0.1, 10.0))
        # In this process, where those are patched.
        patch.setattr("torch.get_num_threads", lambda: 1)
        yield


@pytest.fixture(scope="module")
def community(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated")
    write_simulation(simulate(0, n_samples=60, n_asvs=60, length=40), folder)
    return folder


def options_for(community, column):
    tables = ["--table", community / "table.biom", "--tree", community / "tree.nwk", "--metadata", community / "metadata.tsv"]
    return ["evaluate", *tables, "--metadata-column", column]


class Nesting(HTMLParser):
    """Fails where an element is not closed, or in the wrong order."""

    def __init__(self):
        super().__init__()
        self.open, self.addresses = [], []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href") and not value.startswith("#")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def check_page(folder):
    text = (folder / "index.html").read_text(encoding="utf-8")
    page = Nesting()
    page.feed(text)
    assert page.open == []
    # Self-contained: nothing is loaded from elsewhere.
    assert [address for address in page.addresses if not address.startswith("http://www.w3.org")] == []
    assert "prefers-color-scheme: dark" in text
    return text


def test_a_number_by_all_models(community, tmp_path):
    folder = tmp_path / "age"
    options = [*options_for(community, "age"), "--group-column", "subject", "--confounder-column", "study", "--folds", 2]
    aam(*options, *QUICK, "--repeats", 2, "--transformers", *SMALL, "--epochs", 2, "--pretrain-epochs", 2, "--output-dir", folder)
    folds = pd.read_csv(folder / "folds.tsv", sep="\t")
    assert (folds.groupby(["repeat", "sample"]).size() == 1).all()
    assert (folds.groupby(["repeat", "group"])["fold"].nunique() == 1).all()
    said = pd.read_csv(folder / "predictions.tsv", sep="\t")
    summary = pd.read_csv(folder / "summary.tsv", sep="\t").set_index("model")
    assert set(said["model"]) == set(summary.index)
    transformers = {"AAM transformer", "AAM transformer, pretrained", "AAM transformer, frozen base"}
    ours = {"AAM ensemble", "AAM ensemble without trees", *transformers}
    assert ours < set(summary.index)
    assert {"median", "median of each level", "random forest", "nearest neighbours, UniFrac"} < set(summary.index)
    assert (said.groupby(["model", "repeat"]).size() == 60).all()
    assert (said["lower"] <= said["predicted"]).all()
    # The table's means are those of the predictions.
    errors = (said["predicted"] - said["true"]).abs()
    by_hand = errors.groupby([said["model"], said["repeat"]]).mean().groupby("model").mean()
    np.testing.assert_allclose(summary["mae"].sort_index(), by_hand.sort_index(), rtol=1e-4)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert re.match(r"The AAM ensemble predicts age with a mean absolute error \(MAE\) of \d", metrics["verdict"])
    assert re.match(r"Spearman -?0\.\d+, held-out samples", metrics["facts"]["UniFrac recovery"])
    assert "UniFrac recovery" not in summary.index
    text = check_page(folder)
    assert metrics["verdict"].split(",")[0] in text
    assert not (folder / "checkpoints").exists()


def test_classes_and_a_run_that_was_broken_off(community, tmp_path):
    folder = tmp_path / "disease"
    options = [*options_for(community, "disease"), "--classifier", "--only-baselines", "--folds", 3, "--output-dir", folder]
    aam(*options)
    check_page(folder)
    whole = (folder / "predictions.tsv").read_text()
    header = whole.splitlines()[0].split("\t")
    assert "set" in header
    assert sum(name.startswith("probability_") for name in header) == 2
    assert "host" not in whole
    warnings = json.loads((folder / "metrics.json").read_text())["warnings"]
    assert any("No group column was named" in warning and "subject (" in warning for warning in warnings)
    kept = sorted((folder / "folds").glob("*.npy"))
    for path in kept[::2]:
        path.unlink()
    aam(*options, "--resume")
    assert (folder / "predictions.tsv").read_text() == whole
    assert "is not empty" in aam(*options, code=2)


def test_each_group_in_turn_several_classes_and_names_that_are_no_html(community, tmp_path):
    metadata = pd.read_csv(community / "metadata.tsv", sep="\t", dtype=str)
    metadata["a $b$ <c>"] = np.resize(["x<y", "$1$", "&"], len(metadata))
    metadata["ward"] = np.arange(len(metadata)) // 10
    metadata.to_csv(tmp_path / "m.tsv", sep="\t", index=False)
    options = options_for(community, "a $b$ <c>")
    options[6] = tmp_path / "m.tsv"
    groups = ["--classifier", "--only-baselines", "--leave-one-group-out", "--group-column", "ward"]
    aam(*options, *groups, "--sampling-depth", 300, "--output-dir", tmp_path / "out")
    text = check_page(tmp_path / "out")
    assert "<c>" not in text
    assert "a $b$ &lt;c&gt;" in text
    summary = pd.read_csv(tmp_path / "out" / "summary.tsv", sep="\t")
    assert summary["auc"].between(0, 1).all()
    assert pd.read_csv(tmp_path / "out" / "folds.tsv", sep="\t")["fold"].nunique() == 6
    again = [*options, *groups, "--output-dir", tmp_path / "out", "--resume"]
    assert "--resume with another --sampling-depth" in aam(*again, "--sampling-depth", 200, code=2)
    # Without a record of the options, what the folds were made from is known all the same.
    (tmp_path / "out" / "config.yaml").unlink()
    assert "is of other data or options" in aam(*again, "--sampling-depth", 200, code=2)


def test_a_model_that_fails_in_a_fold_is_left_out_and_said_to_be(community, tmp_path, monkeypatch):
    def fails(problem, rows, settings):
        return lambda study, asked: np.full(len(asked), np.nan)

    monkeypatch.setattr(baselines, "nearest_neighbours", fails)
    aam(*options_for(community, "age"), "--only-baselines", "--folds", 2, "--output-dir", tmp_path / "out")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert "nearest neighbours, UniFrac" not in metrics["models"]
    assert any("is left out: it failed in repeat 1, fold 1" in warning for warning in metrics["warnings"])
    assert not list((tmp_path / "out" / "folds").glob("*neighbours*"))


def halves(community):
    """Two tables of 40 and 20 samples; the second has its ASVs in another order, and lacks some of them."""
    table = read_table(community / "table.biom")
    rows, columns = np.arange(40, 60), np.random.default_rng(0).permutation(len(table.feature_ids))
    parts = FeatureTable(table.counts[:40], table.sample_ids[:40], table.feature_ids).drop_empty_features()
    other = FeatureTable(table.counts[rows][:, columns], table.sample_ids[40:], tuple(table.feature_ids[c] for c in columns))
    return table, parts, other.drop_empty_features()


def test_another_table_is_tested(community, tmp_path):
    _, *parts = halves(community)
    for name, part in zip(("first", "second"), parts, strict=True):
        text = Table(part.counts.toarray().T, part.feature_ids, part.sample_ids).to_json("test")
        (tmp_path / f"{name}.biom").write_text(text)
    options = [*options_for(community, "age"), "--ignore-missing", "--only-baselines", "--group-column", "study"]
    options[2] = tmp_path / "first.biom"
    aam(*options, "--test-table", tmp_path / "second.biom", "--output-dir", tmp_path / "out")
    said = pd.read_csv(tmp_path / "out" / "predictions.tsv", sep="\t")
    assert set(said["sample"]) == set(parts[1].sample_ids)
    text = (tmp_path / "out" / "metrics.json").read_text()
    assert "Infinity" not in text
    metrics = json.loads(text)
    assert any("are in both tables" in warning for warning in metrics["warnings"])
    assert metrics["facts"]["held out"] == "all samples of second.biom"
    assert "unknown: too few groups" in check_page(tmp_path / "out")
    assert "is tested once" in aam(*options, "--test-table", "t", "--repeats", 2, "--output-dir", tmp_path / "x", code=2)


def test_what_cannot_be_evaluated_is_refused(community, tmp_path):
    options = [*options_for(community, "age"), "--output-dir", tmp_path / "out"]
    assert "--leave-one-group-out needs --group-column" in aam(*options, "--leave-one-group-out", code=2)
    said = aam(*options, "--group-column", "study", "--folds", 9, code=2)
    assert "--folds 9: there are 4 groups only" in said


def test_what_failed_is_spelled_as_the_command_line_spells_it(community, tmp_path, monkeypatch):
    def fails(problem, rows, settings):
        raise InputError("raise `max_memory_gb`, or set `penalty=0`")

    monkeypatch.setattr(baselines, "nearest_neighbours", fails)
    options = [*options_for(community, "age"), "--only-baselines", "--folds", 2]
    aam(*options, "--output-dir", tmp_path / "out")
    text = check_page(tmp_path / "out")
    assert "raise --max-memory-gb, or set --penalty 0" in text
    assert "`" not in text
    # Its folds are known by what was read, not by where it lay.
    monkeypatch.chdir(community)
    moved = list(options)
    moved[moved.index("--metadata") + 1] = "metadata.tsv"
    aam(*moved, "--output-dir", tmp_path / "out", "--resume")


def test_held_out_samples_are_explained(community, tmp_path):
    folder = tmp_path / "explained"
    options = [*options_for(community, "age"), "--group-column", "subject", "--folds", 2, "--output-dir", folder]
    assert "choose one" in aam(*options, "--explain", "--only-baselines", code=2)
    aam(*options, *QUICK, "--explain", "--max-explained", 30)
    attributions = pd.read_csv(folder / "attributions.tsv", sep="\t")
    folds = pd.read_csv(folder / "folds.tsv", sep="\t")
    assert set(attributions["sample"]) <= set(folds["sample"])
    assert attributions["sample"].nunique() == 30
    table = read_table(community / "table.biom")
    named = pd.read_csv(folder / "importance.tsv", sep="\t", index_col=0)
    assert set(named.index) <= set(table.feature_ids)
    assert (named["importance"].diff().dropna() <= 0).all()
    assert "Which ASVs carry it" in (folder / "index.html").read_text()
    assert "AAM ensemble, fitted in each fold" in (folder / "explain.html").read_text()


def test_scores_of_samples_that_are_made_worse(community, tmp_path):
    options = [*options_for(community, "age"), *QUICK, "--group-column", "subject", "--folds", 2, "--robustness"]
    aam(*options, "--output-dir", tmp_path / "e")
    table = pd.read_csv(tmp_path / "e" / "robustness.tsv", sep="\t")
    assert set(table["model"]) == {"AAM ensemble", "random forest"}
    assert set(table["perturbation"]) == {one.name for one in PERTURBATIONS}
    scores = pd.read_csv(tmp_path / "e" / "summary.tsv", sep="\t").set_index("model")["mae"]
    as_they_are = table[table["level"] == 0]
    np.testing.assert_allclose(as_they_are["mae"], scores[as_they_are["model"]], rtol=1e-4)
    text = check_page(tmp_path / "e")
    assert "<h2>Robustness</h2>" in text and "score by reads left out" in text
    assert len(json.loads((tmp_path / "e" / "metrics.json").read_text())["robustness"]) == len(table)
    before = (tmp_path / "e" / "robustness.tsv").read_bytes()
    aam(*options, "--output-dir", tmp_path / "e", "--resume")
    assert (tmp_path / "e" / "robustness.tsv").read_bytes() == before
