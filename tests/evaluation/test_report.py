"""The report: a verdict that is true, figures that are those of the predictions, a page that stands alone."""

import json
import warnings
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import precision_recall_fscore_support

from aam.evaluation.about_models import about_models
from aam.evaluation.classes import class_scores_of, confusion_of
from aam.evaluation.compare import Outcome
from aam.evaluation.contestants import contestants_of
from aam.evaluation.pictures import means_by_truth, roc
from aam.evaluation.pretrained import RECOVERY
from aam.evaluation.report import Report, write_report
from aam.evaluation.results import facts_of, facts_of_run, write_folds, write_predictions
from aam.options import ContestOptions, FoldOptions, FoldPretrainOptions
from aam.scoring.measures import AUC, MAE
from aam.study.folds import make_folds, one_fold
from tests.support.problems import learnable_problem, problem_of

SIMPLE, HEADLINE = ["median", "forest"], "AAM ensemble"


class Nesting(HTMLParser):
    """Fails where an element is not closed, or in the wrong order."""

    def __init__(self):
        super().__init__()
        self.open, self.addresses = [], []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href") and not value.startswith("#")]
        if tag not in {"meta", "br", "link"}:
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


def number_report(ours=0.5, forest=1.0, *, repeats=1, groups=None, headline=HEADLINE, **about):
    """Errors of our model and of the forest, as multiples of a random error; the median's are three times as large."""
    n = 120
    rng = np.random.default_rng(0)
    error, truth = rng.normal(0, 4, n), rng.normal(50, 10, n)
    folds = make_folds(n, 4, repeats, 0, groups=groups)
    sizes = {"median": 3.0, "forest": forest, HEADLINE: ours}
    said = {model: [truth[fold.test] + size * error[fold.test] for fold in folds] for model, size in sizes.items()}
    return Report({"table": "t.biom"}, Outcome(problem_of(truth, groups=groups), folds, said), SIMPLE, headline=headline, **about)


def class_report():
    n = 90
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, n)
    problem = replace(problem_of(truth, classes=3), column="a $b$ <c>")
    folds = make_folds(n, 3, 1, 0, labels=problem.labels)
    said = {}
    for model, signal in {"class shares": 0.0, "forest": 1.0, HEADLINE: 2.0}.items():
        logits = rng.normal(0, signal > 0, (n, 3))
        logits[np.arange(n), truth] += signal
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        said[model] = [shares[fold.test] for fold in folds]
    return Report({}, Outcome(problem, folds, said), ["class shares", "forest"], ["x < y: this is a warning"], HEADLINE)


def test_the_verdict_says_what_the_figures_say():
    better = number_report().verdict
    assert better.startswith("The AAM ensemble predicts load with a mean absolute error (MAE) of 1.")
    assert "50 % better than the best simple model, forest (3." in better
    assert "; 95 % interval of the difference +50 to +50 %), and 83 % better than the median." in better
    assert "100 % worse than the best simple model" in number_report(ours=2.0).verdict
    assert (
        "as good as the best simple model, forest (3.17; 95 % interval of the difference 0 to 0 %)"
        in number_report(ours=1.0).verdict
    )
    few = number_report(groups=np.repeat(np.arange(4), 30)).verdict
    assert "interval of the difference unknown: too few groups)" in few
    assert "chance" not in few


def test_the_verdict_without_a_model_of_ours_or_without_a_good_one():
    simple = number_report(headline=None).verdict
    assert simple.startswith("The best simple model, forest, predicts load with a mean absolute error (MAE) of 3.")
    assert simple.endswith(": 67 % better than the median.")
    none = number_report(headline=None, forest=4.0).verdict
    assert none.startswith("No simple model predicts load better than the median: a mean absolute error (MAE) of 9.")
    ours = number_report(forest=4.0).verdict
    assert "83 % better than the best simple model, median (9." in ours
    assert ours.count("median") == 1
    classes = class_report().verdict
    assert classes.startswith("The AAM ensemble predicts a $b$ <c> with an area under the ROC curve (AUC) of 0.9")
    assert classes.endswith("better than chance.")


def test_tables_and_figures_are_those_of_the_predictions(tmp_path):
    groups = np.repeat(np.arange(40), 3)
    report = number_report(repeats=2, groups=groups)
    write_folds(report.outcome.problem, report.outcome.folds, tmp_path / "folds.tsv")
    write_predictions(report.outcome, tmp_path / "predictions.tsv")
    write_report(report, tmp_path)
    folds, said, summary = (pd.read_csv(tmp_path / f"{name}.tsv", sep="\t") for name in ("folds", "predictions", "summary"))
    assert (folds.groupby(["repeat", "sample"]).size() == 1).all()
    assert (folds.groupby(["repeat", "group"])["fold"].nunique() == 1).all()
    assert (said.groupby(["model", "repeat"]).size() == 120).all()
    assert (said["lower"] <= said["predicted"]).all()
    errors = (said["predicted"] - said["true"]).abs()
    by_hand = errors.groupby([said["model"], said["repeat"]]).mean().groupby("model").mean()
    summary = summary.set_index("model")
    np.testing.assert_allclose(summary["mae"].sort_index(), by_hand.sort_index(), rtol=1e-4)
    inside = said["true"].between(said["lower"], said["upper"]).groupby(said["model"]).mean()
    np.testing.assert_allclose(summary["coverage"].sort_index(), inside.sort_index(), rtol=1e-4)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["verdict"] == report.verdict
    assert metrics["models"][HEADLINE]["gain_over_best_simple"] == pytest.approx([0.5, 0.5, 0.5])
    assert metrics["models"][HEADLINE]["coverage"] == pytest.approx(summary.loc[HEADLINE, "coverage"], rel=1e-4)
    text = check_page(tmp_path)
    assert report.verdict in text
    assert "Errors by group" in text


def test_names_that_are_no_html_and_no_formulas(tmp_path):
    report = class_report()
    write_report(report, tmp_path)
    write_predictions(report.outcome, tmp_path / "predictions.tsv")
    text = check_page(tmp_path)
    assert "<c>" not in text
    assert "a $b$ &lt;c&gt;" in text
    assert "x &lt; y: this is a warning" in text
    header = (tmp_path / "predictions.tsv").read_text().splitlines()[0].split("\t")
    assert header[-4:] == ["set", "probability_a", "probability_b", "probability_c"]


def test_one_fold_has_no_intervals_and_the_files_say_so(tmp_path):
    truth = np.random.default_rng(0).normal(size=30)
    outcome = Outcome(problem_of(truth), one_fold(20, 30), {"median": [np.zeros(10)], "forest": [truth[20:] + 0.1]})
    write_report(Report({}, outcome, SIMPLE), tmp_path)
    assert "Infinity" not in (tmp_path / "metrics.json").read_text()
    assert "<td>unknown</td>" in check_page(tmp_path)


def test_facts_say_what_was_held_out(tmp_path):
    problem = problem_of(np.arange(8.0), groups=np.repeat(["x", "y"], 4))
    facts = facts_of(problem, FoldOptions(folds=3, repeats=2), table="t.biom", group_column="subject")
    assert facts == {
        "column": "load",
        "table": "t.biom",
        "samples": "8",
        "features": "1",
        "groups": "2 of subject",
        "held out": "3 folds, 2 repeats",
    }
    other = facts_of(
        problem, FoldOptions(test_table=tmp_path / "o.biom"), table="t", pretraining=FoldPretrainOptions(), recovered=0.5
    )
    assert other["held out"] == "all samples of o.biom"
    assert other["UniFrac recovery"] == "Spearman 0.500, held-out samples"


def test_a_difference_of_a_rounding_error_is_a_tie():
    tied = number_report(ours=1.0 + 1e-13).verdict
    assert "as good as the best simple model, forest (" in tied
    assert "chance" not in tied and "worse" not in tied and "-0" not in tied
    assert AUC.signed(-2e-16) == "0.000" and AUC.between(-2e-16, 0.1) == "0.000 to +0.100" and MAE.signed(-0.001) == "0 %"


def test_the_page_says_what_models_are_and_which_classes_they_confuse(tmp_path):
    report = class_report()
    write_report(report, tmp_path)
    text = check_page(tmp_path)
    assert "AAM ensemble: the same and trees, averaged by what each is worth" in text
    assert "that of each of the 3 classes against all others" in text
    counts = confusion_of(report.outcome, "forest")
    np.testing.assert_array_equal(counts.sum(axis=1), np.bincount(report.outcome.truth))
    _, true, said = report.outcome.together("forest")
    precision, recall, f1, members = precision_recall_fscore_support(true, said.argmax(axis=1))
    rows = class_scores_of(report.outcome, "forest")
    np.testing.assert_allclose([(row.precision, row.recall, row.f1) for row in rows], np.stack([precision, recall, f1], axis=1))
    assert [row.samples for row in rows] == members.tolist()
    assert f"<td>{counts[0, 1]}</td>" in text
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["models"]["forest"]["by_class"]["b"]["recall"] == pytest.approx(recall[1])


def test_roc_curves_go_from_corner_to_corner():
    report = class_report()
    lines = roc(report.outcome, {"forest": "red"}).axes[0].get_lines()
    for line in lines:
        x, y = line.get_data()
        assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)


def test_pictures_of_a_handful_of_samples_have_no_empty_bins():
    truth = np.arange(24.0)
    outcome = Outcome(problem_of(truth), one_fold(20, 24), {"median": [np.zeros(4)]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        means_by_truth(outcome, {"median": "red"})


def test_every_model_that_is_evaluated_is_explained():
    for classes in (None, 2):
        problem = learnable_problem(classes, confounder=True)
        names = list(contestants_of(problem, ContestOptions(transformers=True), 0, jobs=1))
        assert len(about_models(names)) == len(names) - names.count(RECOVERY)


def test_facts_of_a_run():
    facts = facts_of_run(7, "aam evaluate --table t.biom")
    assert facts["command"] == "aam evaluate --table t.biom" and facts["seed"] == "7" and facts["version"].startswith("AAM ")
    problem = problem_of(np.array([0, 1, 1]), classes=2)
    facts = facts_of(problem, FoldOptions(), table="t", run=facts)
    assert facts["classes"] == "a (1), b (2)" and list(facts)[-1] == "command"
