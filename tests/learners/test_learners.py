"""What every learner promises: to know nothing of the samples that it was not given."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from scipy import sparse

from aam.data.table import FeatureTable
from aam.errors import InputError
from aam.learners.baselines import baselines_of, is_trivial
from aam.learners.ensemble import EnsembleLearner, cross_fitted
from aam.learners.learner import Shared
from aam.learners.pretraining import PretrainingLearner, commonest_letters
from aam.learners.transformer import GivenEncoder, TransformerLearner
from aam.options import CANDIDATES, AugmentOptions, FitOptions, ModelOptions, TrainFitOptions
from aam.study.targets import RegressionTarget
from tests.support.studies import QUICK, problem_in, simulated_study

SHAPE = ModelOptions(embedding_dim=16, attention_heads=2, attention_layers=1)
FIT = TrainFitOptions(epochs=1, batch_size=8)
AUGMENT = AugmentOptions(augment="cutmix,mixup,contaminate,dropout,rarefy,errors,reverse,trim")
LEARNED, OTHERS = np.arange(36), np.arange(36, 48)
LEARNERS = {
    "ensemble": EnsembleLearner(QUICK, jobs=1),
    "transformer": TransformerLearner(SHAPE, options=FIT),
    "augmented ensemble": EnsembleLearner(QUICK, jobs=1, augment=AUGMENT),
    "augmented transformer": TransformerLearner(SHAPE, options=FIT, augment=AUGMENT),
    **baselines_of(problem_in(simulated_study()), seed=0, jobs=1),
}


@pytest.fixture(scope="module")
def study():
    return simulated_study()


def elsewhere(problem):
    """The same problem with other reads and another truth of the samples that are not learned from."""
    study, rng = problem.study, np.random.default_rng(0)
    counts, truth = study.counts.toarray(), problem.truth.copy()
    counts[OTHERS] = rng.permutation(counts[OTHERS], axis=1)
    truth[OTHERS] = rng.permutation(truth[OTHERS]) if problem.classes else 1e6
    table = FeatureTable(sparse.csr_array(counts), study.table.sample_ids, study.table.feature_ids)
    return replace(problem, study=replace(study, table=table), truth=truth)


@pytest.mark.parametrize("name", LEARNERS)
def test_nothing_is_known_of_other_samples(study, name):
    problem, learner = replace(problem_in(study), target=RegressionTarget("zscore")), LEARNERS[name]
    changed = elsewhere(problem)
    here, there = learner.fit(problem, LEARNED), learner.fit(changed, LEARNED)
    assert here.target == there.target
    assert not set(study.ids(OTHERS)) & set(here.info.learned_from)
    # Distances of all pairs are sums in another order.
    np.testing.assert_allclose(here.predict(problem.study, LEARNED), there.predict(changed.study, LEARNED), rtol=1e-9)
    assert here.predict(problem.study).shape == (48,)


def test_nothing_is_known_of_other_samples_of_classes(study):
    problem = problem_in(study, classes=True)
    changed = elsewhere(problem)
    for learner in (LEARNERS["ensemble"], LEARNERS["transformer"]):
        here, there = learner.fit(problem, LEARNED), learner.fit(changed, LEARNED)
        np.testing.assert_array_equal(here.predict(study, LEARNED), there.predict(study, LEARNED))


def test_a_pretrained_encoder_knows_nothing_of_other_samples(study):
    learner = PretrainingLearner(SHAPE, options=FitOptions(epochs=1, batch_size=8))
    changed = elsewhere(problem_in(study)).study
    here, there = (learner.fit(one, LEARNED) for one in (study, changed))
    assert set(here.info.learned_from) == set(study.ids(LEARNED))
    np.testing.assert_array_equal(here.embed(study), there.embed(study))


def test_the_commonest_letters_are_of_the_asvs_of_some_samples(study):
    tokens = study.asv_tokens[study.counts[LEARNED].toarray().any(axis=0)]
    expected = [np.bincount(column, minlength=5)[1:5].argmax() for column in tokens.T]
    assert commonest_letters(study, LEARNED).tolist() == expected


@dataclass
class Counting:
    """A learner that says which fit this was."""

    fits: list = field(default_factory=list)

    def fit(self, problem, rows):
        self.fits.append(rows)
        return len(self.fits)


def test_a_shared_learner_fits_once_while_problem_and_samples_stay(study):
    problem, counting = problem_in(study), Counting()
    shared = Shared(counting)
    assert [shared.fit(problem, rows) for rows in (LEARNED, LEARNED.copy(), OTHERS, OTHERS, LEARNED)] == [1, 1, 2, 2, 3]
    assert shared.fit(replace(problem), LEARNED) == 4


@pytest.fixture(scope="module")
def encoder(study):
    return PretrainingLearner(SHAPE, options=FIT).fit(study, LEARNED)


@pytest.mark.parametrize("freeze_base", [False, True])
def test_an_encoder_to_start_from_is_not_changed(study, encoder, freeze_base):
    before = {name: value.clone() for name, value in encoder.encoder.state_dict().items()}
    learner = TransformerLearner(SHAPE, options=FIT, start=GivenEncoder(encoder), freeze_base=freeze_base)
    fitted = learner.fit(problem_in(study), OTHERS)
    assert all(torch.equal(value, before[name]) for name, value in encoder.encoder.state_dict().items())
    same = [torch.equal(value, before[name]) for name, value in fitted.encoder.state_dict().items()]
    assert all(same) == freeze_base
    # What pretraining has seen is not new to the model.
    assert set(fitted.info.learned_from) == set(study.table.sample_ids)


def test_a_frozen_base_needs_an_encoder():
    with pytest.raises(InputError, match="`freeze_base` needs `pretrained_encoder`"):
        TransformerLearner(freeze_base=True)


def test_samples_that_choose_the_epoch_may_be_named(study):
    problem, validation = problem_in(study), np.arange(30, 36)
    learner = TransformerLearner(SHAPE, options=FIT, validation=validation)
    first = learner.fit(problem, LEARNED)
    truth = problem.truth.copy()
    truth[validation] += 100
    # One epoch leaves nothing to choose: they are not learned from.
    np.testing.assert_array_equal(learner.fit(replace(problem, truth=truth), LEARNED).predict(study), first.predict(study))


def test_prediction_intervals_of_an_ensemble_are_of_what_it_said_of_groups_it_did_not_see(study):
    problem = problem_in(study)
    fitted = LEARNERS["ensemble"].fit(problem, LEARNED)
    # Nine groups of four: at least 90 % of the samples are inside.
    assert (np.abs(cross_fitted(fitted) - problem.truth[LEARNED]) <= fitted.limit(0.9) + 1e-9).mean() >= 0.9
    assert fitted.limit(0.5) < fitted.limit(0.9)


def test_baselines_are_there_to_be_compared_with(study, tmp_path):
    problem = problem_in(study)
    names = list(LEARNERS)[2:]
    assert [name for name in names if is_trivial(name)] == ["median"]
    trivial = LEARNERS["median"].fit(problem, LEARNED)
    assert set(trivial.predict(study)) == {np.median(problem.truth[LEARNED])}
    with pytest.raises(InputError, match="a baseline is there to be compared with"):
        trivial.save(tmp_path / "model")


@pytest.mark.parametrize("name", ["ensemble", "transformer"])
def test_augmentation_is_chosen_only_where_groups_say_that_it_helps(study, name, caplog):
    problem = problem_in(study)
    with caplog.at_level("INFO"):
        fitted = replace(LEARNERS[name], augment=AugmentOptions(augment="auto")).fit(problem, LEARNED)
    choice = fitted.augmentation
    assert set(choice.compared) == set(CANDIDATES)
    helpful = [candidate for candidate, (_, low, _) in choice.compared.items() if low > 0]
    assert (choice.chosen in helpful) if helpful else choice.chosen is None
    for gain, low, high in choice.compared.values():
        assert low <= gain <= high
    assert choice.about() == {"augment": choice.chosen, "gain_low_high": {key: list(gain) for key, gain in choice.compared.items()}}
    named = replace(LEARNERS[name], augment=choice.options).fit(problem, LEARNED)
    np.testing.assert_array_equal(named.predict(study), fitted.predict(study))
