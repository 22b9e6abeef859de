"""Scores beside the trivial prediction."""

import numpy as np
import pytest

from aam.scoring.classes import class_scores
from aam.scoring.scores import no_better_than_trivial, regression_scores

TRUE = np.arange(8.0)
CLASSES = np.array([0, 0, 0, 1, 1])


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (regression_scores(TRUE, TRUE + 1, TRUE), None),
        (regression_scores(TRUE, TRUE + 3, TRUE), "the median of the training samples: MAE 3 against 2;"),
        (regression_scores(TRUE, np.full(8, 3.5), TRUE), "MAE 2 against 2;"),
        (class_scores(CLASSES, np.eye(2)[CLASSES], CLASSES), None),
        (class_scores(CLASSES, np.eye(2)[1 - CLASSES], CLASSES), "as by chance: AUC 0 against 0.5;"),
        (class_scores(CLASSES[:3], np.eye(2)[CLASSES[:3]], CLASSES), "commonest class: accuracy 1 against 1;"),
        ({"mse": 0.017, "mean_mse": 0.007}, "held-out samples than always predicting their mean: MSE 0.017 against 0.007;"),
        ({"mse": 0.007, "mean_mse": 0.017}, None),
        (
            {"held_out_accuracy": 0.9, "held_out_majority_accuracy": 0.9},
            "the ASVs of held-out samples than always naming the commonest taxon",
        ),
        (
            {"held_out_accuracy": 0.9, "held_out_majority_accuracy": 0.5, "unseen_accuracy": 0.4, "unseen_majority_accuracy": 0.5},
            "ASVs that no training sample has than always naming the commonest taxon: accuracy 0.4 against 0.5;",
        ),
        (
            {"held_out_accuracy": 0.4, "held_out_majority_accuracy": 0.5, "unseen_accuracy": 0.6, "unseen_majority_accuracy": 0.5},
            None,
        ),
        ({}, None),
    ],
)
def test_what_is_no_better_than_the_trivial_prediction_is_said_with_both_numbers(scores, said):
    found = no_better_than_trivial("Shannon", scores)
    assert found is None if said is None else said in found and found.startswith("Shannon: no better on ")
