"""An explanation from beginning to end, beside its parts."""

from dataclasses import replace

import numpy as np
import pytest

from aam.explain.agreement import agreement
from aam.explain.deletion import by_deletion
from aam.explain.faithfulness import named_first
from aam.explain.features import asvs
from aam.explain.run import Asked, explain
from aam.explain.summary import summarise
from aam.learners.ensemble import EnsembleLearner
from aam.options import ExplainOptions
from tests.support.explained import OPTIONS
from tests.support.studies import problem_in, simulated_study

LEARNED = np.arange(36)


@pytest.fixture(scope="module")
def fitted():
    study = simulated_study(n_samples=48, n_asvs=40)
    found = EnsembleLearner(OPTIONS, jobs=1).fit(problem_in(study), LEARNED)
    # All of the members count, whatever they are worth.
    combination = found.ensemble.combination
    weights = {name: 1 / len(found.ensemble.members) for name in found.ensemble.members}
    found.ensemble = replace(found.ensemble, combination=replace(combination, weights=weights, middle=1.0))
    return study, found


def test_shuffled_weights_are_judged_by_known_asvs_and_the_mean_of_three_shuffles(fitted):
    study, model = fitted
    reader, rows = model.reader(study), study.rows[:40]
    unknown = replace(reader.seen, identity=np.where(np.arange(40) < 30, reader.seen.identity, 0))
    reader = replace(reader, seen=unknown)
    asked = Asked(reader, study, "load", rows, shuffled=lambda seed: model.shuffled(seed).reader(study))
    found = explain(asked, ExplainOptions(seed=4))
    features = asvs(study.table.feature_ids)
    own, others = (
        [summarise(by_deletion(one, features, rows)) for one in some]
        for some in ([reader], [model.shuffled(seed).reader(study) for seed in (4, 5, 6)])
    )
    wanted = [agreement(own[0], other, reader.counts[rows], reader.known) for other in others]
    assert [pair.shuffled for pair in found.compared] == [True]
    said = found.compared[0].found
    assert 10 < said.features == wanted[0].features < 31
    for name in ("spread", "beside_amount", "signed"):
        assert getattr(said, name) == pytest.approx(np.mean([getattr(one, name) for one in wanted]))


def test_the_list_over_all_samples_is_tested_as_it_stands(fitted):
    study, model = fitted
    reader, rows = model.reader(study), study.rows[:30]
    found = explain(Asked(reader, study, "load", rows), ExplainOptions(seed=2))
    attributions, spread = found.attributions[0], found.importances[0].spread
    by_list = replace(attributions, value=np.stack([spread[feature] for feature in attributions.feature]))
    assert found.listed == named_first(reader, by_list, seed=2)
    assert found.named_first == named_first(reader, attributions, seed=2)
    assert found.listed != found.named_first


@pytest.mark.parametrize("baseline", ["empty", "average"])
def test_gradients_are_told_beside_what_the_whole_model_predicts(fitted, baseline):
    """Forests of numbers have no gradients: what the other members say is not what the model predicts."""
    pytest.importorskip("captum", reason="the extra explain is not installed")
    study, model = fitted
    rows = study.rows[:30]
    found = explain(Asked(model.reader(study), study, "load", rows), ExplainOptions(method="gradients", baseline=baseline))
    np.testing.assert_allclose(found.attributions[0].predicted[:, 0], model.predict(study, rows), rtol=1e-5)
    assert found.gradients.baseline == baseline
    assert found.gradients.weight < 1
    members = found.gradients.attributions
    assert np.abs(members.predicted - found.attributions[0].predicted).max() > 0.01
    added = np.bincount(members.sample, members.value[:, 0], len(rows))
    np.testing.assert_allclose(added, (members.predicted - found.gradients.start)[:, 0], rtol=1e-3, atol=1e-3)
