"""Whether augmentation helps: only where resampled groups say so."""

import numpy as np
import pytest

from aam.augment.choice import choose_augmentation
from aam.scoring.measures import AUC, MAE

UNITS = np.repeat(np.arange(30), 4)


def numbers(errors):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=120)
    return truth, {name: truth + error * rng.normal(size=120) for name, error in errors.items()}


def test_the_best_of_those_that_help_is_chosen_and_none_where_none_does():
    truth, said = numbers({"none": 1.0, "better": 0.5, "best": 0.2, "worse": 2.0, "alike": 1.0})
    plain = said.pop("none")
    choice = choose_augmentation(truth, plain, said, UNITS, MAE)
    assert choice.chosen == "best"
    gain, low, high = choice.compared["best"]
    assert gain == pytest.approx(1 - np.abs(said["best"] - truth).mean() / np.abs(plain - truth).mean())
    assert 0 < low < gain < high < 1
    assert choice.compared["worse"][2] < 0
    alike = choose_augmentation(truth, plain, {"alike": said["alike"], "worse": said["worse"]}, UNITS, MAE)
    assert alike.chosen is None and alike.options.augment is None


def test_a_gain_in_one_group_is_no_reason():
    truth, said = numbers({"none": 1.0})
    plain = said["none"]
    lucky = np.where(UNITS == 0, truth, plain)
    assert choose_augmentation(truth, plain, {"lucky": lucky}, UNITS, MAE).chosen is None


def test_classes_are_compared_by_their_measure():
    rng = np.random.default_rng(0)
    truth = np.arange(120) % 2
    score = {name: 1 / (1 + np.exp(-(truth - 0.5) * size - rng.normal(size=120))) for name, size in (("none", 0.5), ("good", 4))}
    plain, good = (np.stack([1 - one, one], axis=1) for one in score.values())
    choice = choose_augmentation(truth, plain, {"good": good}, UNITS, AUC)
    assert choice.chosen == "good" and choice.compared["good"][1] > 0
