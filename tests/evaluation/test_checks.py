"""Findings say what is wrong with a score, in sentences without options of a command line."""

from dataclasses import replace

import numpy as np
import pandas as pd

from aam.data.metadata import Metadata
from aam.evaluation.checks import (
    explained_by_confounder,
    few_groups,
    near_duplicates,
    other_asvs,
    shared_groups,
    small_classes,
    ungrouped_columns,
    words_for_missing,
)
from aam.evaluation.compare import Outcome
from aam.evaluation.findings import findings_of
from aam.scoring.measures import AUC, MAE
from aam.study.folds import Fold, make_folds
from tests.support.problems import learnable_problem, with_counts


def frame(columns):
    return Metadata(pd.DataFrame(columns))


def test_near_copies_are_found_unless_they_are_in_one_fold():
    problem = learnable_problem(2)
    counts = problem.study.counts.toarray()
    counts[1::2] = counts[::2]
    twins = replace(with_counts(problem, counts), groups=None)
    assert "near copy" in near_duplicates(twins, make_folds(80, 4, 1, 0))
    assert near_duplicates(twins, make_folds(80, 4, 1, 0, groups=problem.groups)) is None


def test_columns_that_look_like_groups_are_named():
    metadata = Metadata(pd.DataFrame({"host_subject_id": ["a", "b"] * 40, "age": range(80), "sample_site": range(80)}))
    assert "host_subject_id (2 values)" in ungrouped_columns(metadata, "age")
    assert ungrouped_columns(metadata, "host_subject_id") is None


def test_measurements_with_decimals_name_no_one():
    rng = np.random.default_rng(0)
    weights = [f"{value:.1f}" for value in rng.normal(25, 5, 441)]
    assert ungrouped_columns(frame({"mouse_weight": weights}), "age") is None
    assert ungrouped_columns(frame({"mouse_weight": np.array(weights, dtype=float)}), "age") is None
    some = np.array(weights, dtype=object)
    some[::4], some[1::40] = "NA", "nan"
    assert ungrouped_columns(frame({"mouse_weight": some}), "age") is None
    # Whole numbers stay names, whatever is missing.
    assert "mouse (3 values)" in ungrouped_columns(frame({"mouse": ["1", "2", "nan"] * 10}), "age")
    # Names that look like numbers stay names.
    subjects = [f"{1 + number % 2}.{number % 24 + 1}" for number in range(96)]
    assert "Subject_ID (24 values)" in ungrouped_columns(frame({"Subject_ID": subjects}), "age")
    assert "mouse (24 values)" in ungrouped_columns(frame({"mouse": subjects}), "age")


def test_small_classes_and_few_groups_are_named():
    problem = learnable_problem(2)
    rare = replace(problem, truth=(np.arange(80) < 3).astype(int))
    assert small_classes(rare) == "Classes with too few samples to learn or score well: b (3 samples of 2 groups)."
    folds = make_folds(80, 4, 1, 0)
    assert few_groups(problem, folds) is None
    assert few_groups(replace(problem, groups=np.arange(80) // 20), folds).startswith("The held-out groups are few (4)")


def test_a_confounder_that_explains_as_much_is_named():
    assert "study alone explains" in explained_by_confounder("study", MAE, best=5.0, confounded=4.9, trivial=8.6)
    assert explained_by_confounder("study", MAE, best=8.7, confounded=8.6, trivial=8.6) is None  # nothing explains it
    assert explained_by_confounder("study", AUC, best=0.9, confounded=0.6, trivial=0.5) is None
    assert "study alone explains" in explained_by_confounder("study", AUC, best=0.9, confounded=0.89, trivial=0.5)


def test_asvs_that_training_lacks_are_noticed():
    problem, folds = learnable_problem(2), make_folds(80, 4, 1, 0)
    assert other_asvs(problem, folds) is None
    apart = problem.study.counts.toarray()
    apart[folds[0].test] = np.r_[np.zeros(29), 5]
    apart[folds[0].train, 29] = 0
    assert "Only 0 % of the reads" in other_asvs(with_counts(problem, apart), folds)


def test_groups_of_both_tables_are_named():
    problem = learnable_problem()
    apart, across = Fold(0, 0, np.arange(40), np.arange(40, 80)), Fold(0, 0, np.arange(41), np.arange(41, 80))
    assert shared_groups(problem, [apart]) is None
    assert "in both tables: 1 (20)" in shared_groups(problem, [across])


def test_findings_spell_no_options():
    problem = learnable_problem(confounder=True)
    metadata = pd.DataFrame({"subject": np.arange(80) // 2})
    ungrouped = replace(problem, study=replace(problem.study, metadata=metadata), groups=None)
    twins = with_counts(ungrouped, np.repeat(problem.study.counts.toarray()[::2], 2, axis=0))
    folds = make_folds(80, 4, 1, 0)
    rows = [fold.test for fold in folds]
    predictions = {
        "median": [np.zeros(len(test)) for test in rows],
        "median of each level": [problem.truth[test] + 0.1 for test in rows],
        "model": [problem.truth[test] + 0.1 for test in rows],
    }
    found = findings_of(Outcome(twins, folds, predictions), "study")
    assert [sum(word in finding for finding in found) for word in ("near copy", "No group column was named", "study alone")] == [
        1,
        1,
        1,
    ]
    assert not any("--" in finding or "`" in finding for finding in found)


def test_words_that_may_mean_missing_are_found():
    problem = learnable_problem(2)
    assert words_for_missing(problem) is None
    groups = np.where(np.arange(80) < 6, "unknown", problem.groups.astype(str)).astype(object)
    groups[-1] = "NA"
    named = replace(problem, target=replace(problem.target, classes=("NA", "b")), groups=groups)
    size = int((problem.truth == 0).sum())
    said = words_for_missing(named)
    assert f"counts as a value: class 'NA' ({size} samples), group 'unknown' (6 samples). If it does" in said
    assert said in findings_of(Outcome(named, make_folds(80, 4, 1, 0), {}))
    assert "level of the confounder 'none'" in words_for_missing(replace(problem, confounder=np.array(["none", "x"] * 40, object)))
