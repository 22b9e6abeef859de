"""Held-out samples are explained by the model of the fold that holds them out, and by no other."""

import numpy as np
import pytest

from aam.errors import InputError
from aam.evaluation.contestants import ENSEMBLE, ensembles
from aam.evaluation.explained import FoldsReader, explain_folds, explained_section
from aam.evaluation.kept import KeptFolds
from aam.evaluation.run import run_folds
from aam.explain import features
from aam.explain.deletion import by_deletion
from aam.learners import ensemble as learning
from aam.options import ExplainOptions
from aam.saved.load import load
from aam.study.folds import make_folds
from tests.support.studies import QUICK, problem_in, simulated_study


@pytest.mark.parametrize("classes", [False, True])
def test_each_sample_is_explained_by_the_model_that_did_not_see_it(tmp_path, monkeypatch, classes):
    study = simulated_study()
    problem = problem_in(study, classes=classes)
    folds = make_folds(len(problem), 2, 2, 0, groups=problem.groups, labels=problem.labels)
    kept = KeptFolds(tmp_path / "folds", "key")
    run_folds(problem, ensembles(QUICK, 0, 1), folds, kept, ENSEMBLE)
    # Of the first repeat only: others hold out the same samples again.
    assert sorted(path.name for path in kept.folder.glob("*-model")) == ["1-1-model", "1-2-model"]

    # From here on nothing is fitted.
    monkeypatch.setattr(learning, "fit_members", None)
    run_folds(problem, ensembles(QUICK, 0, 1), folds, kept, ENSEMBLE)
    found = explain_folds(problem, folds, kept, ExplainOptions(max_samples=len(study) - 5)).attributions[0]
    assert len(found.samples) == len(study) - 5
    for place, fold in enumerate(folds[:2]):
        mine = np.isin(found.samples[found.sample], fold.test)
        assert mine.any()
        samples = found.samples[np.isin(found.samples, fold.test)]
        by_fold = [
            by_deletion(load(kept.model(one)).reader(study), features.asvs(study.table.feature_ids), samples).value
            for one in (fold, folds[1 - place])
        ]
        np.testing.assert_allclose(found.value[mine], by_fold[0], rtol=1e-5, atol=1e-7)
        assert np.abs(found.value[mine] - by_fold[1]).max() > 1e-3


def test_samples_that_no_fold_holds_out_are_refused(tmp_path):
    study = simulated_study()
    problem = problem_in(study)
    folds = make_folds(len(problem), 2, 1, 0, groups=problem.groups)
    fitted = ensembles(QUICK, 0, 1)[ENSEMBLE].fit(problem, folds[0].train)
    of = np.full(len(study), -1)
    of[folds[0].test] = 0
    reader = FoldsReader([fitted.reader(study)], of)
    said = reader.read(reader.counts[folds[0].test], folds[0].test)
    np.testing.assert_allclose(said.outputs[:, 0], fitted.predict(study, folds[0].test), rtol=1e-6)
    with pytest.raises(ValueError, match="no fold holds out"):
        reader.read(reader.counts[folds[0].train], folds[0].train)
    with pytest.raises(InputError, match="by deletion alone"):
        reader.gradients(study.rows, study.table.feature_ids)


def test_the_report_names_the_asvs_and_where_more_is_said(tmp_path):
    study = simulated_study()
    problem = problem_in(study)
    folds = make_folds(len(problem), 2, 1, 0, groups=problem.groups)
    kept = KeptFolds(tmp_path / "folds", "key")
    run_folds(problem, ensembles(QUICK, 0, 1), folds, kept, ENSEMBLE)
    explanation = explain_folds(problem, folds, kept, ExplainOptions())
    text = explained_section(explanation)
    first = int(explanation.importances[0].spread[:, 0].argmax())
    assert explanation.name(explanation.importances[0].features, first) in text.split("<tr")[2]
    assert text.count("<tr") == 11
    assert 'href="explain.html"' in text
    explanation.write(tmp_path)
    assert (tmp_path / "explain.html").is_file()
