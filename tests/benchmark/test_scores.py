"""Scores, ranks, wins and losses, by values that are known."""

from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import chi2, rankdata

from aam.benchmark.asked import with_share
from aam.benchmark.findings import columns_that_tell
from aam.benchmark.scores import Pair, Results, Scored, ranking
from aam.evaluation.compare import Outcome
from aam.study.folds import make_folds
from tests.support.studies import problem_in, simulated_study


@pytest.fixture(scope="module")
def problem():
    return problem_in(simulated_study())


def scored(problem, errors, question="q", share=1.0, failed=None):
    """What models would leave that are wrong by some normal noise."""
    folds = make_folds(len(problem), 4, 1, 0, groups=problem.groups)
    draw = np.random.default_rng(0)
    said = {
        name: [problem.truth[fold.test] + draw.normal(scale=error, size=len(fold.test)) for fold in folds]
        for name, error in errors.items()
    }
    costs = dict.fromkeys(errors, 1.0)
    return Scored(question, share, Outcome(problem, folds, said), 36.0, costs, costs, failed or {}, {})


def by_ranks(scores, higher=False):
    """Results whose scores are given: a row for each question."""
    measure = SimpleNamespace(higher_is_better=higher)
    names = [f"m{number}" for number in range(scores.shape[1])]
    return [
        SimpleNamespace(
            measure=measure,
            models=names,
            scores=dict(zip(names, map(float, row), strict=True)),
            resampled={name: np.full(10, np.nan) for name in names},
        )
        for row in scores
    ]


def test_critical_difference_and_ranks_are_those_of_demsar():
    # Demsar 2006, table 6 and section 3.2.2: AUC of four classifiers on 14 data sets, mean ranks, critical difference.
    # Friedman's test there is without the correction for ties that scipy makes (9.28 without it).
    auc = np.array(
        [
            [0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967], [0.628, 0.661, 0.654, 0.657],
            [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931], [0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625],
            [0.775, 0.838, 0.866, 0.875], [1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669],
            [0.972, 0.981, 0.9751, 0.975], [0.957, 0.978, 0.946, 0.970],
        ]
    )  # fmt: skip
    found = ranking(by_ranks(auc, higher=True))
    means = {rank.model: rank.rank for rank in found.ranks}
    assert [round(means[f"m{number}"], 3) for number in range(4)] == [3.143, 2.0, 2.893, 1.964]
    assert found.critical == pytest.approx(1.25, abs=0.005)
    squares = 12 * 14 / (4 * 5) * (sum(rank.rank**2 for rank in found.ranks) - 4 * 5**2 / 4)
    assert squares == pytest.approx(9.28, abs=0.01)
    assert found.chance < chi2.sf(squares, 3)
    assert [rank.model for rank in found.ranks] == ["m3", "m1", "m2", "m0"]
    # No groups to draw: the ranks are what they are.
    assert all(rank.low == pytest.approx(rank.rank) == rank.high for rank in found.ranks)


def test_errors_rank_the_other_way_and_what_is_written_alike_is_a_tie():
    found = ranking(by_ranks(np.array([[1e-7, 2e-7, 2e-7 + 1e-16], [3.0, 1.0, 5.0]])))
    assert {rank.model: rank.rank for rank in found.ranks} == {"m0": 1.5, "m1": 1.75, "m2": 2.75}
    two = ranking(by_ranks(np.array([[1.0, 2.0]])))
    assert np.isnan(two.critical)
    assert np.isnan(two.chance)


def test_intervals_of_ranks_come_from_resampled_groups(problem):
    clear = scored(problem, {"good": 0.1, "bad": 3.0})
    ranks = {rank.model: rank for rank in ranking([clear]).ranks}
    assert (ranks["good"].low, ranks["good"].high) == (1, 1)
    alike = scored(problem, {"one": 1.0, "other": 1.02})
    ranks = {rank.model: rank for rank in ranking([alike]).ranks}
    assert (ranks["one"].low, ranks["one"].high) == (1, 2)
    # As by hand.
    drawn = np.array([alike.resampled[name] for name in ("one", "other")])
    assert ranks["one"].low == np.percentile(rankdata(drawn, axis=0)[0], 2.5)


def test_models_that_failed_or_were_not_asked_are_not_ranked(problem):
    results = Results(
        [
            scored(problem, {"trivial": 1.0, "a": 0.5, "b": 0.2}),
            scored(problem, {"trivial": 1.0, "a": 0.4}, "r", failed={"b": "no"}),
        ],
        {},
    )
    # Nor are trivial ones: all others would seem to differ.
    assert {rank.model for rank in results.ranking.ranks} == {"a"}
    assert results.models == ["trivial", "a", "b"]
    # Named beforehand: the first that reads microbes and answered everywhere.
    assert results.headline == "a"
    assert {(pair.question, pair.model, pair.other) for pair in results.pairs if pair.model == "b"} == {
        ("q", "b", "trivial"),
        ("q", "b", "a"),
    }


def test_a_win_is_sure_where_its_interval_leaves_0(problem):
    results = Results([scored(problem, {"trivial": 2.0, "good": 0.1, "same": 2.0})], {})
    verdicts = {(pair.model, pair.other): pair.verdict for pair in results.pairs}
    assert verdicts["good", "trivial"] == "win"
    assert verdicts["trivial", "good"] == "loss"
    assert verdicts["same", "trivial"] == "open"
    unknown = Pair("q", "a", "b", 0.5, float("nan"), float("nan"))
    assert unknown.verdict == "open"


@pytest.mark.parametrize("classes", [False, True])
def test_shares_of_the_training_groups_are_whole_nested_and_have_every_class(classes):
    problem = problem_in(simulated_study(), classes=classes)
    for fold in make_folds(len(problem), 4, 1, 0, groups=problem.groups, labels=problem.labels):
        parts = [with_share(problem, fold, share, seed=3) for share in (0.25, 0.5, 1)]
        assert all(set(small.train) <= set(large.train) for small, large in pairwise(parts))
        assert parts[2] is fold
        for part in parts:
            np.testing.assert_array_equal(part.test, fold.test)
            groups = set(problem.groups[part.train])
            assert set(fold.train[np.isin(problem.groups[fold.train], list(groups))]) == set(part.train)
            if classes:
                assert set(problem.labels[part.train]) == set(problem.labels[fold.train])
        if not classes:
            assert len(set(problem.groups[parts[1].train])) == round(len(set(problem.groups[fold.train])) / 2)
        again = with_share(problem, fold, 0.5, seed=3)
        np.testing.assert_array_equal(again.train, parts[1].train)


def test_a_column_that_tells_the_answer_is_named_and_noise_is_not(problem):
    folds = make_folds(len(problem), 4, 1, 0, groups=problem.groups)
    frame = problem.study.metadata.copy()
    frame["clinic"] = np.where(problem.truth > 0, "north", "south")
    frame["coin"] = np.random.default_rng(1).choice(["heads", "tails"], size=len(frame))
    frame["person"] = problem.groups.astype(str)
    frame["twice"] = 2 * problem.truth
    frame = frame[["clinic", "coin", "person", "twice"]]
    told = problem.on(replace(problem.study, metadata=frame, written=None))
    sentence = columns_that_tell(told, folds, skipped=("load", None))
    assert sentence is not None
    assert "clinic (MAE" in sentence
    # A number of many values, by fifths.
    assert "twice (MAE" in sentence
    assert "coin" not in sentence
    # Groups that are held out have levels that nobody knows.
    assert "person" not in sentence
    assert columns_that_tell(told, folds, skipped=("clinic", "twice")) is None
