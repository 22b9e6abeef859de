"""Errors of held-out samples: faults that were planted are named first, and nothing else is."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.preprocessing import StandardScaler

from aam.evaluation.compare import Outcome
from aam.evaluation.errors.analysis import ErrorAnalysis
from aam.evaluation.errors.confused import Confused
from aam.evaluation.errors.held_out import HeldOut
from aam.evaluation.errors.looks import Look, corrected, difference_of, looks_at
from aam.evaluation.errors.promises import ALL, promises_of, share_interval
from aam.evaluation.errors.section import errors_section
from aam.evaluation.errors.strata import Stratum, strata_of
from aam.study.folds import make_folds
from aam.study.problem import Problem
from aam.study.targets import ClassTarget
from benchmarks.planted_errors import KINDS, NONE, SAID, Community, is_named, planted, right_share
from benchmarks.planted_errors import analysis_of as evaluated

SEEDS, SAMPLES = 10, 1000


@pytest.fixture(scope="module")
def communities():
    """By seed: a simulated community, and log-ratios of the clades that its targets come from."""
    made = {}

    def community(seed):
        if seed not in made:
            one = Community.of(seed)
            place = {asv: number for number, asv in enumerate(one.study.table.feature_ids)}
            reads = one.study.counts.toarray()
            clades = [reads[:, [place[asv] for asv in asvs]].sum(axis=1) for asvs in one.made.truth["clades"].values()]
            logs = np.log1p(np.column_stack(clades))
            made[seed] = one, StandardScaler().fit_transform(logs - logs.mean(axis=1, keepdims=True))
        return made[seed]

    return community


def analysis_of(problem, features):
    """Of a linear model beside nearest neighbours, both of features that know the clades."""
    folds, truth = make_folds(len(problem), 5, 1, 0, groups=problem.groups, labels=problem.labels), problem.truth
    models = {"linear": RidgeCV(), "neighbours": KNeighborsRegressor(10)}
    if problem.target.classes:
        models = {"linear": LogisticRegression(C=10, max_iter=1000), "neighbours": KNeighborsClassifier(10)}
    said = {name: [] for name in models}
    for fold in folds:
        for name, model in models.items():
            fitted = model.fit(features[fold.train], truth[fold.train])
            said[name].append(getattr(fitted, "predict_proba" if problem.target.classes else "predict")(features[fold.test]))
    return ErrorAnalysis.of(Outcome(problem, folds, said), "linear", list(models))


def faulty(communities, fault, kind="number", seed=0):
    """An analysis where a fault was planted, and rows whose label is wrong."""
    community, features = communities(seed)
    problem, swapped = planted(community, kind, fault, seed)
    return analysis_of(problem, features), swapped


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", [NONE, *SAID])
def test_a_planted_fault_is_among_the_first_three_named_and_nothing_is_where_none_is(communities, fault, kind):
    analysis, swapped = faulty(communities, fault, kind)
    assert is_named(analysis, fault) == (fault != NONE)
    assert fault != "swapped" or right_share(analysis, swapped) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", [NONE, *SAID])
def test_nine_planted_faults_of_ten_are_named_and_at_most_one_where_none_is(communities, fault, kind):
    found = [faulty(communities, fault, kind, seed) for seed in range(SEEDS)]
    named = sum(is_named(analysis, fault) for analysis, _ in found)
    assert named <= 1 if fault == NONE else named >= 9
    if fault == "swapped":
        assert np.nanmean([right_share(analysis, swapped) for analysis, swapped in found]) >= 0.9


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_models_of_an_evaluation_tell_labels_that_are_wrong(communities, kind, tmp_path):
    problem, swapped = planted(communities(1)[0], kind, "swapped", 1)
    analysis = evaluated(problem, tmp_path)
    assert analysis.model == "AAM ensemble"
    assert is_named(analysis, "swapped")
    assert right_share(analysis, swapped) >= 0.9


def test_a_column_that_is_the_answer_by_another_name_is_not_named(communities):
    community, features = communities(0)
    sick = community.at("disease", "case").astype(np.int64)
    groups = community.study.labels("subject")
    analysis = analysis_of(Problem(community.study, "another name", sick, ClassTarget(("control", "case")), groups), features)
    assert "disease" in {look.column for look in analysis.looks}
    assert not any(one.sentence.startswith("disease") for one in analysis.named)


def test_what_is_written_says_where_and_by_how_much(communities):
    study = communities(0)[0].study
    analysis, _ = faulty(communities, "wide")
    table = analysis.table().set_index(["column", "level", "what"])
    row, inside = table.loc["site", "C", "error"], study.labels("site")[analysis.held.rows] == "C"
    assert row["inside"] == pytest.approx(analysis.held.error[inside].mean())
    assert row["difference"] == pytest.approx(row["inside"] - row["outside"])
    assert row["low"] < row["difference"] < row["high"] and row["named"] and row["samples"] == inside.sum()
    assert (table["p_of_all_looks"] >= table["p"]).all() and table["p_of_all_looks"].is_monotonic_increasing
    swapped = faulty(communities, "swapped")[0].suspects()
    assert list(swapped.columns) == ["sample", "label", "likelihood", "linear", "neighbours", "nearest training samples"]
    assert swapped["sample"].is_unique and swapped["likelihood"].astype(float).is_monotonic_decreasing


def test_samples_of_a_group_are_one_piece_of_evidence():
    """Five that are alike say as much as one."""
    rng = np.random.default_rng(0)
    unit, members = np.repeat(np.arange(40), 5), np.repeat(np.arange(40) < 20, 5)
    alike = np.repeat(rng.normal(size=40), 5)
    (_, *wide, _), (_, *narrow, _) = (difference_of(alike, members, of) for of in (unit, np.arange(200)))
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])
    # One group beside many: as far as groups differ.
    one = np.repeat(np.arange(40) == 0, 5)
    apart, low, high, p = difference_of(np.where(one, 10.0, alike), one, unit)
    assert low < apart < high and p < 1e-6
    assert difference_of(alike, members, np.repeat([0, 1], 100)) is None


def test_chance_is_met_where_nothing_differs():
    rng = np.random.default_rng(1)
    unit, members = np.repeat(np.arange(60), 4), np.repeat(np.arange(60) % 3 == 0, 4)
    found = [difference_of(np.repeat(rng.normal(size=60), 4) + rng.normal(size=240), members, unit)[3] for _ in range(400)]
    assert 0.02 < np.mean(np.array(found) < 0.05) < 0.09


def test_numbers_are_held_beside_their_truth(communities):
    held = faulty(communities, NONE)[0].held
    assert isinstance(held, HeldOut)
    raw, beside = held.looked_at["bias"]
    assert abs(np.corrcoef(raw, held.truth)[0, 1]) > 0.1 > abs(np.corrcoef(beside, held.truth)[0, 1])


def three_sites(study):
    """An outcome of two models that know the site of three (A, B, C) of each sample, with probability 0.96 for it.

    But samples of study2 at site B they take for C, and four samples of site A for B: the second model only three of these.
    """
    truth = study.labels("site").copy()
    truth[np.isin(truth, ["D", "E"])] = "C"
    truth = np.unique(truth, return_inverse=True)[1]
    problem = Problem(study, "three", truth, ClassTarget(tuple("ABC")), study.labels("subject"))
    folds = make_folds(len(problem), 5, 1, 0, groups=problem.groups, labels=problem.labels)
    first = np.where((study.labels("study") == "study2") & (truth == 1), 2, truth)
    mistaken = np.flatnonzero(truth == 0)[:4]
    first[mistaken] = 1
    second = first.copy()
    second[mistaken[0]] = 0
    said = {
        name: [np.full((len(fold.test), 3), 0.02) + 0.94 * np.eye(3)[classes[fold.test]] for fold in folds]
        for name, classes in (("first", first), ("second", second))
    }
    outcome = Outcome(problem, folds, said)
    return ErrorAnalysis.of(outcome, "first", ["first", "second"]), mistaken


def test_levels_that_are_taken_for_another_class_are_named_worst_first(communities):
    study = communities(0)[0].study
    analysis, _ = three_sites(study)
    of_study2 = (study.labels("study") == "study2") & (analysis.outcome.truth == 1)
    groups = len(set(study.labels("subject")[of_study2]))
    assert analysis.confused[0] == Confused("study", "study2", "B", of_study2.sum(), groups, 0.0, 1.0, "C", 1.0)
    # A group of enough samples of that study is another part of the samples; the other two studies are right.
    levels = [(one.column, one.level) for one in analysis.confused]
    assert len(set(levels)) == len(levels) and all(level == "study2" for column, level in levels if column == "study")
    assert all(one.samples >= 10 and one.right < one.taken and one.right < one.elsewhere for one in analysis.confused)
    cells = ["study: study2", "B", f"{of_study2.sum()} of {groups} groups", "0 %", "100 %", "C (100 %)"]
    assert "".join(f"<td>{cell}</td>" for cell in cells) in errors_section(analysis, "#2f83c6")


def test_both_of_two_levels_are_looked_at_where_each_is_asked_for(communities):
    analysis, _ = three_sites(communities(0)[0].study)
    once, both = (strata_of(analysis.outcome, analysis.held.rows, each=each) for each in (False, True))
    assert [one.level for one in once if one.column == "disease"] == ["case"]
    assert [one.level for one in both if one.column == "disease"] == ["case", "control"]
    assert {one.level for one in both if one.column == "study"} == {f"study{number}" for number in range(1, 5)}


def test_numbers_have_no_confusion(communities):
    analysis, _ = faulty(communities, NONE)
    assert analysis.confused == () and "Taken for another class" not in errors_section(analysis, "#2f83c6")


def test_samples_that_every_model_gets_wrong_are_listed_with_their_nearest_training_samples(communities):
    study = communities(0)[0].study
    analysis, mistaken = three_sites(study)
    missed = [int(analysis.held.rows[place]) for place in analysis.missed]
    of_study2 = np.flatnonzero((study.labels("study") == "study2") & (analysis.outcome.truth == 1))
    assert set(missed) == {*mistaken[1:], *of_study2}
    cases = analysis.cases(analysis.missed[:3])
    assert list(cases.columns) == ["sample", "label", "first", "all 2 models", "nearest training samples"]
    first = cases.iloc[0]
    row = missed[0]
    fold = next(fold for fold in analysis.outcome.folds if row in fold.test)
    assert first["sample"] == study.ids(np.array([row]))[0]
    roots = np.sqrt(study.shares.toarray())
    nearest = fold.train[np.argsort(-(roots[fold.train] @ roots[row]), kind="stable")[:3]]
    assert [one.split(" (")[0] for one in first["nearest training samples"].split(", ")] == list(study.ids(nearest))
    assert first["sample"] in errors_section(analysis, "#2f83c6")


def test_numbers_outside_the_intervals_of_all_models_are_what_every_model_gets_wrong(communities):
    analysis, swapped = faulty(communities, "swapped")
    inside = [HeldOut.of(analysis.outcome, name).inside for name in ("linear", "neighbours")]
    assert sorted(analysis.missed) == list(np.flatnonzero((inside[0] == 0) & (inside[1] == 0)))
    assert (np.diff(analysis.held.error[list(analysis.missed)]) <= 0).all()
    assert swapped[analysis.held.rows[list(analysis.missed)]].mean() > 0.3


def test_calibration_shows_the_level_whose_intervals_fail(communities):
    analysis, _ = faulty(communities, "wide")
    everyone, worst = analysis.promises[:2]
    of_site = communities(0)[0].at("site", "C")[analysis.held.rows]
    assert (everyone.level, everyone.samples, everyone.promised) == (ALL, SAMPLES, pytest.approx(0.9))
    assert everyone.kept == pytest.approx(analysis.held.inside.mean()) and everyone.low < 0.9 < everyone.high
    assert (worst.level, worst.samples, worst.kept) == (
        "site: C",
        of_site.sum(),
        pytest.approx(analysis.held.inside[of_site].mean()),
    )
    assert worst.high < 0.9


def test_calibration_of_classes_is_the_probability_of_what_is_predicted_beside_how_often_it_is_right(communities):
    analysis, _ = three_sites(communities(0)[0].study)
    everyone = analysis.promises[0]
    assert everyone.promised == pytest.approx(0.96)
    assert everyone.kept == pytest.approx((analysis.held.said.argmax(axis=1) == analysis.held.truth).mean())
    assert "study: study2" in [one.level for one in analysis.promises[1:]]
    assert all(one.kept < one.promised for one in analysis.promises[1:])


def test_intervals_of_shares_hold_as_often_as_they_say():
    rng = np.random.default_rng(0)
    for share in (0.5, 0.9):
        found = [share_interval(rng.binomial(40, share) / 40, 40) for _ in range(2000)]
        assert 0.92 < np.mean([low <= share <= high for low, high in found]) < 0.98
    low, high = share_interval(1.0, 10)
    assert 0.5 < low < 0.9 and high == pytest.approx(1)


def test_long_names_of_asvs_are_short_on_the_page_and_whole_in_the_table(communities):
    analysis, _ = faulty(communities, "wide")
    name = max((look.column for look in analysis.looks), key=len)
    assert name.startswith("ASV ") and len(name) == 44
    assert name in set(analysis.table()["column"])
    assert name.removeprefix("ASV ") not in errors_section(analysis, "#2f83c6")


def test_samples_of_a_group_that_are_alike_count_as_one_in_intervals_of_calibration():
    rng = np.random.default_rng(0)
    unit, inside = np.repeat(np.arange(40), 5), np.repeat((rng.random(40) < 0.8).astype(float), 5)
    nothing = np.zeros(200)
    held = HeldOut(np.arange(200), unit, nothing, nothing, nothing, nothing, inside)
    first = Stratum("group", "0", unit == 0)
    everyone, *_ = promises_of(held, [first], 6)
    assert (everyone.low, everyone.high) == pytest.approx(share_interval(inside.mean(), 40))
    apart, *_ = promises_of(replace(held, unit=np.arange(200)), [first], 6)
    assert (apart.low, apart.high) == pytest.approx(share_interval(inside.mean(), 200))


def look(column, p):
    """One that is worse by so much chance."""
    return Look(column, "level", "error", 10, 10, 1.0, 0.0, 1.0, 0.0, 2.0, p)


def test_metadata_have_half_of_the_chance_however_many_asvs_are_looked_at():
    few = [look("study", 0.001), look("site", 0.5)]
    looks = corrected([*few, *(look(f"ASV {number}", 0.002) for number in range(98))], np.arange(100) < 2)
    assert [one.column for one in looks[:1]] == ["study"]
    assert looks[0].corrected == pytest.approx(0.001 * 2 / 0.5)
    # The next stands beside those that are left: half of one, and 98 of the other half.
    assert looks[1].corrected == pytest.approx(0.002 * 98 / 0.5 * 0.75)
    # Without reads it is Holm's.
    assert [one.corrected for one in corrected(few, np.ones(2, dtype=bool))] == pytest.approx([0.002, 0.5])


def test_large_groups_that_are_alike_do_not_hide_a_difference():
    """One that all groups have is told by many small ones, though a few large ones of one kind are most of the samples."""
    rng, sizes = np.random.default_rng(0), np.r_[np.full(4, 40), np.full(60, 2)]
    unit = np.repeat(np.arange(64), sizes)
    members = unit % 2 == 0
    values = np.repeat(rng.normal(size=64), sizes) + members
    (*_, equal), (*_, weighed) = (difference_of(values, members, unit, tested=tested) for tested in (False, True))
    assert weighed < equal / 5
    # Samples that have nothing to do with each other count alike.
    apart = rng.normal(size=len(unit)) + 0.3 * members
    (one, *_), (other, *_) = (difference_of(apart, members, unit, tested=tested) for tested in (False, True))
    assert one == pytest.approx(other, abs=0.05)


def test_chance_is_met_where_samples_count_by_how_alike_they_are():
    rng, found = np.random.default_rng(2), []
    for _ in range(400):
        unit = np.repeat(np.arange(60), 1 + rng.poisson(3, 60))
        values = rng.normal(size=60)[unit] + rng.normal(size=len(unit))
        found.append(difference_of(values, unit % 3 == 0, unit, tested=True)[3])
    assert 0.01 < np.mean(np.array(found) < 0.05) < 0.09


def test_samples_that_are_doubted_rightly_are_not_named_and_those_that_are_not_doubted_are():
    """Both are of a level with many wrong labels; only to some do the probabilities say so."""
    rng = np.random.default_rng(1)
    n, nothing = 1200, np.zeros(1200)
    hard, sick = rng.random(n) < 0.25, rng.random(n) < 0.5
    truth = (sick ^ (rng.random(n) < np.where(hard, 0.4, 0.02))).astype(int)
    level = Stratum("site", "hard", hard)

    def named(doubt):
        sure = np.where(sick, 1 - doubt, doubt)
        said = np.stack([1 - sure, sure], axis=1)
        error = 1 - said[np.arange(n), truth]
        held = HeldOut(np.arange(n), np.arange(n), truth, said, error, sure - truth, None, said, said > 0.1)
        return [one.what for one in looks_at(held, [level], nothing) if one.named]

    assert named(np.where(hard, 0.4, 0.02)) == []
    assert "error" in named(np.full(n, 0.1))


def test_what_is_rare_is_not_more_than_chance_where_few_samples_lack_it():
    rng, members = np.random.default_rng(3), np.arange(1000) < 920
    found = [difference_of((rng.random(1000) < 0.04).astype(float), members, np.arange(1000), tested=True) for _ in range(1000)]
    assert np.mean([apart > 0 and p < 0.002 for apart, *_, p in found]) < 0.005
