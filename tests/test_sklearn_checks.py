"""scikit-learn's own checks of its estimators' contract. docs/python.md says how many there are, and which do not pass."""

from collections.abc import Iterator, Mapping

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import parametrize_with_checks

import aam
from aam.options import FitOptions, ModelOptions, PretrainObjectives, TrainFitOptions


class MadeUp(Mapping[str, str]):
    """A sequence for any feature: the checks' features have none."""

    def __getitem__(self, name: str) -> str:
        return "".join(np.random.default_rng(list(name.encode())).choice(list("ACGT"), 20))

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __contains__(self, name: object) -> bool:
        return True

    def __repr__(self) -> str:
        return "MadeUp()"


EMPTY = "the check has samples without reads, which no model of sequences can read: a ValueError that names them"
SHORT = "one epoch of a tiny transformer learns too little for the score that the check asks for"
WITHOUT_READS = dict.fromkeys(
    (
        "check_estimator_sparse_tag",
        "check_estimator_sparse_array",
        "check_estimator_sparse_matrix",
        "check_estimators_dtypes",
        "check_fit2d_1feature",
    ),
    EMPTY,
)
UNTRAINED = dict.fromkeys(("check_regressors_train", "check_classifiers_train"), SHORT)
# Sums in float32 of other batches differ in the last bits, and the check allows 1e-7: it depends on the machine whether it passes.
ROUNDED = ("check_methods_subset_invariance", "check_methods_sample_order_invariance")


def expected_to_fail(estimator: BaseEstimator) -> dict[str, str]:
    """Reasons by the name of the check. One that passes is an error: `xfail_strict`."""
    if estimator.sequences is None:
        return {}
    return WITHOUT_READS | (UNTRAINED if is_transformer(estimator) and is_predictor(estimator) else {})


def is_predictor(estimator: BaseEstimator) -> bool:
    return not isinstance(estimator, aam.AAMEncoder)


def is_transformer(estimator: BaseEstimator) -> bool:
    return not is_predictor(estimator) or estimator.recipe == "transformer"


def quick_estimators() -> list[BaseEstimator]:
    shape = ModelOptions(embedding_dim=8, attention_heads=1, attention_layers=1)
    members = {"cross_fit_folds": 2, "kernel_tuning_samples": 30, "forest_trees": 5, "boosting_rounds": 5}
    networks = {"network_dim": 8, "network_heads": 1, "network_steps": 5, "network_min_epochs": 1, "network_max_epochs": 1}
    ensemble = {"ensemble_options": aam.EnsembleOptions(**members, **networks), "n_jobs": 1}
    transformer = {"recipe": "transformer", "model_options": shape, "fit_options": TrainFitOptions(epochs=1, batch_size=64)}
    predictors = [
        kind(**parameters)
        for kind in (aam.AAMRegressor, aam.AAMClassifier)
        for parameters in (ensemble, {**ensemble, "sequences": MadeUp()}, {**transformer, "sequences": MadeUp()})
    ]
    encoder = aam.AAMEncoder(
        sequences=MadeUp(),
        epochs=1,
        model_options=shape,
        # Without a tree.
        objectives=PretrainObjectives(penalty=0),
        fit_options=FitOptions(batch_size=64),
    )
    return [*predictors, encoder]


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
@parametrize_with_checks(quick_estimators(), expected_failed_checks=expected_to_fail)
def test_it_keeps_the_contract(estimator, check):
    try:
        check(estimator)
    except AssertionError:
        if is_transformer(estimator) and check.func.__name__ in ROUNDED:
            pytest.xfail("float32")
        raise
