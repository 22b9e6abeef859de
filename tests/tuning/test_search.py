"""Searches: what they choose, that they go on after a kill, and that nothing of test samples is in them."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from aam.disk.locks import unlock
from aam.errors import InputError
from aam.learners.ensemble import EnsembleLearner
from aam.learners.transformer import TransformerLearner
from aam.options import ModelOptions, TrainFitOptions
from aam.scoring.measures import AUC, MAE
from aam.study.covariates import Covariates
from aam.tuning.outer import judge
from aam.tuning.page import write_page, write_trials
from aam.tuning.search import Search, behind, duration, key_of_samples, scores_of, search
from aam.tuning.space import Knob
from aam.tuning.trials import Trials, Tried
from aam.tuning.tunable import TunedEnsemble, TunedTransformer
from tests.support.problems import with_counts
from tests.support.studies import QUICK, problem_in, simulated_study

pytest.importorskip("optuna")
TRAIN, TEST = np.arange(36), np.arange(36, 48)
ENSEMBLE = TunedEnsemble(EnsembleLearner(QUICK, jobs=1))
SPACE = (Knob("known_asv_samples", (3, 2, 5)), Knob("tree_prevalence", (0.01, 0.1)), Knob("boosting_lr", (), 0.01, 0.05, log=True))


@pytest.fixture(scope="module")
def problem():
    return problem_in(simulated_study())


def trials_in(folder, space=SPACE, tunable=ENSEMBLE, higher=False):
    return Trials(folder / "study.db", space, {knob.name: tunable.base[knob.name] for knob in space}, higher=higher)


def searched(problem, folder, number=5, tunable=ENSEMBLE, space=SPACE, **others):
    trials = trials_in(folder, space, tunable, problem.target.measure.higher_is_better)
    return search(problem, TRAIN, tunable, trials, number=number, seed=0, **others)


def told(found):
    return [(tried.state, tried.values, [scores.tolist() for scores in tried.scores]) for tried in found.tried]


@pytest.fixture(scope="module")
def found(problem, tmp_path_factory):
    return searched(problem, tmp_path_factory.mktemp("search"))


def test_the_first_trial_is_of_the_options_as_they_are_given_and_no_trial_is_made_twice(found):
    assert len(found.tried) == 5
    assert found.tried[0].values == found.base
    assert found.tried[0].changed(found.base) == []
    values = [tuple(tried.values.items()) for tried in found.tried]
    assert len(set(values)) == 5
    # The given learning rate is outside the range, which holds for all others.
    assert found.base["boosting_lr"] == 0.06
    assert all(0.01 <= tried.values["boosting_lr"] <= 0.05 for tried in found.tried[1:])


def test_the_same_seed_makes_the_same_trials_and_a_search_goes_on_as_if_it_had_not_stopped(problem, found, tmp_path, caplog):
    searched(problem, tmp_path, number=2)
    # As of a process that was killed.
    trials_in(tmp_path).begin(99)
    with caplog.at_level("INFO"):
        again = searched(problem, tmp_path)
    assert "going on after 2 trials" in caplog.text
    assert told(again) == told(found)
    assert re.search(r"trial 5 of 5: .*MAE .*; best \S+ of trial \d; 0 s left", caplog.text)


def poisoned(problem):
    """The same with other reads and values of the test samples, all of them absurd."""
    counts = problem.study.counts.toarray()
    counts[TEST] = 0
    counts[TEST, 7] = 10**6
    truth = problem.truth.copy()
    truth[TEST] = 1 - truth[TEST] if problem.classes else 1e9
    return with_counts(replace(problem, truth=truth), sparse.csr_array(counts))


def test_nothing_of_the_test_samples_is_in_a_search(problem, found, tmp_path):
    assert told(searched(poisoned(problem), tmp_path)) == told(found)
    assert key_of_samples(poisoned(problem), TRAIN) == key_of_samples(problem, TRAIN)
    assert key_of_samples(poisoned(problem), TEST) != key_of_samples(problem, TEST)


def test_covariates_are_part_of_what_a_search_learns_from():
    frame = pd.DataFrame({"a": ["1", "2"] * 24, "b": np.arange(48.0)}, index=[f"s{number}" for number in range(48)])
    problem = problem_in(simulated_study())
    frame.index = problem.study.ids(np.arange(48))

    def key(frame=frame, **covariates):
        study = replace(problem.study, metadata=frame)
        return key_of_samples(replace(problem, study=study, covariates=Covariates.named(**covariates)), TRAIN)

    kinds = [
        {"categorical": [], "numeric": []},
        {"categorical": ["a"], "numeric": ["b"]},
        {"categorical": [], "numeric": ["a", "b"]},
        {"categorical": ["a"], "numeric": ["b"], "fusion": "gated"},
    ]
    keys = [key(**kind) for kind in kinds]
    assert len(set(keys)) == len(kinds)
    trained, tested = frame.copy(), frame.copy()
    trained.loc[trained.index[0], "b"] = 99.0
    tested.loc[tested.index[-1], "b"] = 99.0
    assert key(trained, **kinds[1]) != key(tested, **kinds[1]) == keys[1]


def test_nothing_of_the_test_samples_is_in_a_search_of_classes_and_of_a_transformer(tmp_path):
    problem = problem_in(simulated_study(), classes=True)
    model, fit = ModelOptions(embedding_dim=8, attention_heads=1, attention_layers=1), TrainFitOptions(epochs=1)
    tunable = TunedTransformer(TransformerLearner(model=model, options=fit, scratch=tmp_path, val_fraction=0.2, show=False))
    space = (Knob("lr", (5e-4, 1e-2)), Knob("dropout", (0.1, 0.0)))
    runs = []
    for name, posed in (("as it is", problem), ("poisoned", poisoned(problem))):
        (tmp_path / name).mkdir()
        runs.append(searched(posed, tmp_path / name, 2, tunable, space))
    assert told(runs[0]) == told(runs[1])
    # A step for each inner fold.
    assert len(runs[0].tried[0].scores) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["as it is", "poisoned"]


def tried(score, spread, changed=0, state="complete", steps=2):
    """A trial whose resampled scores are shifted by `spread`, of which differences are known."""
    noise = np.random.default_rng(changed).normal(size=400) * spread
    scores = np.concatenate([[score], score + noise])
    return Tried(state, {f"o{number}": int(number < changed) for number in range(4)}, [scores] * steps, 1.0)


BASE = {f"o{number}": 0 for number in range(4)}


def chosen(measure, *several):
    return Search(measure, (), BASE, several, {}).chosen


def test_the_fewest_changes_within_one_standard_error_of_the_best_are_chosen():
    default, two, four = tried(0.80, 0.0), tried(0.85, 0.0, 2), tried(0.86, 0.02, 4)
    # The difference of 0.01 is half a standard error, and that of 0.06 three.
    assert chosen(AUC, default, four, two) is two
    assert chosen(AUC, tried(0.845, 0.0), four, two).changed(BASE) == []
    assert chosen(AUC, default, tried(0.95, 0.02, 4), two).score == 0.95
    assert chosen(MAE, default, two, four) is default
    assert chosen(MAE, tried(1.0, 0.0), tried(0.9, 0.02, 3), tried(0.91, 0.0, 3)).score == 0.9


def test_how_far_behind_is_in_standard_errors_of_the_difference_at_the_same_step():
    best = tried(0.9, 0.0)
    assert behind(AUC, tried(0.8, 0.05, 1), best) == pytest.approx(2, rel=0.1)
    assert behind(MAE, tried(0.8, 0.05, 1), best) == 0
    assert behind(AUC, best, best) == 0
    part = Tried("complete", BASE, [np.array([0.7, *best.scores[0][1:]])], 1.0)
    assert behind(AUC, part, best) == np.inf


def test_a_trial_that_is_clearly_worse_ends_early(problem, tmp_path, monkeypatch):
    judge_all, steps = TunedEnsemble.judge, []

    def judged(self, problem, rows):
        for places, said in judge_all(self, problem, rows):
            steps.append(self.learner.options.known_asv_samples)
            yield places, said + 100 * (self.learner.options.known_asv_samples == 5)

    monkeypatch.setattr(TunedEnsemble, "judge", judged)
    found = searched(problem, tmp_path, 3, space=(Knob("known_asv_samples", (3, 5, 2)),))
    states = {one.values["known_asv_samples"]: one.state for one in found.tried}
    assert states == {3: "complete", 2: "complete", 5: "pruned"}
    assert sorted(steps) == [2, 2, 3, 3, 5]
    assert found.chosen.values["known_asv_samples"] != 5


def test_scores_are_resampled_by_whole_groups():
    truth, said = np.arange(8.0), np.arange(8.0) + np.repeat([0, 2], 4)
    alike = scores_of(truth, said, np.repeat(["a", "b"], 4), MAE)
    assert alike[0] == 1
    assert len(alike) == 401
    assert alike[1:].std() > 1.5 * scores_of(truth, said, np.arange(8), MAE)[1:].std()


def test_a_space_that_is_used_up_ends_the_search(problem, tmp_path, caplog):
    with caplog.at_level("INFO"):
        found = searched(problem, tmp_path, 30, space=(Knob("tree_prevalence", (0.01, 0.1, 0.3)), Knob("trees", (True, False))))
    assert len(found.tried) == 6
    assert found.importance == {}
    assert "the space holds no more that was not tried" in caplog.text


def test_a_trial_that_cannot_be_fitted_is_marked_and_the_others_go_on(problem, tmp_path):
    space = (Knob("network_heads", (4, 8, 3)), Knob("network_dim", (64, 24)))
    found = searched(problem, tmp_path, 6, space=space)
    failed = [one for one in found.tried if one.state == "failed"]
    assert failed
    for one in failed:
        assert "must be a multiple of" in one.reason
        assert one.values["network_dim"] % (2 * one.values["network_heads"])
    write_trials(found, tmp_path / "trials.tsv")
    lines = (tmp_path / "trials.tsv").read_text().splitlines()
    assert len(lines) == 1 + len(found.tried)
    assert sum("\tfailed\t" in line for line in lines) == len(failed)


def test_options_that_cannot_be_fitted_as_they_are_given_end_the_search(problem, tmp_path, monkeypatch):
    def judged(self, problem, rows):
        raise InputError("class a is too small")

    monkeypatch.setattr(TunedEnsemble, "judge", judged)
    with pytest.raises(InputError, match="the options as they are given cannot be fitted: class a is too small"):
        searched(problem, tmp_path)


def test_options_that_could_not_be_fitted_as_they_are_given_are_tried_anew(problem, tmp_path, monkeypatch):
    def broken(self, problem, rows):
        raise InputError("class a is too small")

    def judged(self, problem, rows):
        yield np.arange(len(rows)), problem.truth[rows] + self.learner.options.known_asv_samples

    monkeypatch.setattr(TunedEnsemble, "judge", broken)
    for number in (1, 3):
        with pytest.raises(InputError, match="as they are given cannot be fitted"):
            searched(problem, tmp_path, number)
    monkeypatch.setattr(TunedEnsemble, "judge", judged)
    (tmp_path / "fresh").mkdir()
    again = searched(problem, tmp_path, 3)
    assert again.tried[0].values == again.base
    assert told(again) == told(searched(problem, tmp_path / "fresh", 3))


def test_no_trial_begins_after_the_time_but_the_first(problem, tmp_path):
    assert len(searched(problem, tmp_path, seconds=1e-9).tried) == 1


def test_files_that_are_of_something_else_are_told_apart(tmp_path):
    trials_in(tmp_path).require({"column": "age", "seed": "1"})
    trials_in(tmp_path).require({"column": "age", "seed": "1", "samples": "x"})
    with pytest.raises(InputError, match=r"holds another search, with column age, and not site; name another file"):
        trials_in(tmp_path).require({"column": "site"})
    with pytest.raises(InputError, match="with samples x, and not y"):
        trials_in(tmp_path).require({"samples": "y"})
    import optuna

    other = tmp_path / "other"
    other.mkdir()
    optuna.create_study(storage=f"sqlite:///{other}/study.db", study_name="mine")
    with pytest.raises(InputError, match="holds studies of Optuna that are not of `aam tune`"):
        trials_in(other)
    (other / "study.db").unlink()
    with sqlite3.connect(other / "study.db") as file:
        file.execute("create table studies (a integer)")
    with pytest.raises(InputError, match=r"`storage=.*study.db`: cannot be read as trials of Optuna: ") as error:
        trials_in(other)
    assert "\n" not in str(error.value)


OPENS = "import sys; from pathlib import Path; from tests.tuning.test_search import trials_in; trials_in(Path(sys.argv[1]))"


def test_one_process_at_a_time_searches_in_a_file_and_the_other_changes_nothing(tmp_path):
    trials = trials_in(tmp_path)
    trial, values = trials.begin(0)
    words = [sys.executable, "-c", OPENS, str(tmp_path)]
    other = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    refused = f"`storage={tmp_path / 'study.db'}`: another search is going on in it; wait for it, or choose another"
    assert other.stderr.splitlines()[-1] == f"aam.errors.InputError: {refused}"
    trials.end(trial, "complete", [np.array([1.0, 2.0])])
    assert [tried.values for tried in trials.over()] == [values]
    unlock()
    subprocess.run(words, env=ENVIRONMENT, check=True)


ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
PROGRAM = """
import sys
from pathlib import Path
from tests.tuning.test_search import problem_in, searched, simulated_study
searched(problem_in(simulated_study()), Path(sys.argv[1]), number=5)
"""


def test_a_search_that_is_killed_goes_on(problem, found, tmp_path):
    run = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], env=ENVIRONMENT)
    until = time.monotonic() + 100
    while time.monotonic() < until and len(_over(tmp_path / "study.db")) < 2:
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    assert 2 <= len(trials_in(tmp_path).over()) < 5
    assert told(searched(problem, tmp_path)) == told(found)
    with sqlite3.connect(tmp_path / "study.db") as file:
        assert {state for (state,) in file.execute("select state from trials")} <= {"COMPLETE", "PRUNED", "FAIL"}


def test_what_is_tried_after_a_kill_is_what_would_have_been_tried_also_where_it_follows_from_earlier_trials(
    problem, tmp_path, monkeypatch
):
    def judged(self, problem, rows):
        options = self.learner.options
        yield np.arange(len(rows)), problem.truth[rows] + options.known_asv_samples + 10 * options.tree_prevalence

    monkeypatch.setattr(TunedEnsemble, "judge", judged)
    space = (Knob("known_asv_samples", (), 1, 50, whole=True), Knob("tree_prevalence", (), 0.0, 0.5))
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole = searched(problem, tmp_path / "whole", 16, space=space)
    searched(problem, tmp_path / "killed", 13, space=space)
    trials_in(tmp_path / "killed", space).begin(99)
    assert told(searched(problem, tmp_path / "killed", 16, space=space)) == told(whole)


def _over(path: Path):
    try:
        with sqlite3.connect(path) as file:
            return file.execute("select trial_id from trials where state in ('COMPLETE', 'PRUNED')").fetchall()
    except sqlite3.OperationalError:
        return []


def test_the_honest_score_compares_fits_to_all_training_samples_on_the_test_samples(problem, found, tmp_path):
    judgement = judge(problem, TRAIN, TEST, ENSEMBLE, found)
    untuned = EnsembleLearner(QUICK, jobs=1).fit(problem, TRAIN).predict(problem.study, TEST)
    assert judgement.untuned.scores["mae"] == np.abs(untuned - problem.truth[TEST]).mean()
    other = Search(found.measure, found.space, found.base, [found.tried[1]], {})
    changed = judge(problem, TRAIN, TEST, ENSEMBLE, other)
    assert changed.untuned.scores == judgement.untuned.scores
    assert changed.tuned.scores != changed.untuned.scores
    assert changed.tuned.gain == pytest.approx(1 - changed.tuned.scores["mae"] / changed.untuned.scores["mae"])
    assert changed.about()["changed"] == {name: other.chosen.values[name] for name in changed.changed}
    write_page(changed, {"seed": "0"}, tmp_path / "tune.html")
    text = (tmp_path / "tune.html").read_text()
    assert "too few to say how sure the gain is" in text
    assert f"{len(TEST)} of {changed.test_groups} groups, which no trial saw" in text
    write_page(replace(changed, test_groups=len(TEST)), {"seed": "0"}, tmp_path / "tune.html")
    assert f">{len(TEST)}, which no trial saw" in (tmp_path / "tune.html").read_text()
    for knob in found.space:
        assert f'aria-label="score by {knob.name}"' in text


def summary(score, gain, low, high, model="tuned"):
    from aam.evaluation.compare import Summary

    return Summary(model, {"auc": score}, {}, 0.7, 0.9, gain, low, high)


@pytest.mark.parametrize(
    ("gain", "low", "high", "said"),
    [
        (0.02, -0.01, 0.05, "Tuning bought nothing that the test samples can tell: AUC on the test samples 0.82"),
        (0.02, 0.01, 0.03, "Tuning helps: "),
        (-0.02, -0.03, -0.01, "Tuning harms: "),
        (0.02, np.nan, np.nan, "Tuning bought nothing that the test samples can tell: "),
    ],
)
def test_a_sentence_says_what_tuning_bought(gain, low, high, said):
    from aam.tuning.outer import Judgement

    found = Search(AUC, (), BASE, [tried(0.9, 0.0, 2)], {})
    untuned = summary(0.8, 0, 0, 0, "untuned")
    judgement = Judgement(found, "age", summary(0.8 + gain, gain, low, high), untuned, 1.0, 20, 10)
    assert judgement.sentence().startswith(said)
    same = replace(judgement, search=Search(AUC, (), BASE, [tried(0.9, 0.0)], {}))
    assert same.sentence() == "Nothing was tried but the options as they were given. AUC on the test samples: 0.8."
    more = replace(judgement, search=Search(AUC, (), BASE, [tried(0.9, 0.0), tried(0.8, 0.0, 2)], {}))
    assert more.sentence().startswith("Tuning bought nothing: of 2 trials none with other options is better")


def test_time_is_said_as_people_say_it():
    assert [duration(seconds) for seconds in (12.3, 600, 7200)] == ["12 s", "10 min", "2.0 h"]


def test_an_option_that_matters_is_important(problem, tmp_path, monkeypatch):
    def judged(self, problem, rows):
        yield np.arange(len(rows)), problem.truth[rows] + self.learner.options.known_asv_samples

    monkeypatch.setattr(TunedEnsemble, "judge", judged)
    space = (Knob("known_asv_samples", (), 1, 9, whole=True), Knob("tree_prevalence", (), 0.0, 0.5))
    found = searched(problem, tmp_path, 20, space=space)
    assert sum(found.importance.values()) == pytest.approx(1)
    assert max(found.importance, key=found.importance.get) == "known_asv_samples"
    assert found.chosen.values["known_asv_samples"] == 1
