"""scikit-learn's own checks of its estimators' contract. docs/python.md says how many there are, and which do not pass."""

from collections.abc import Iterator, Mapping

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import aam
from aam.options import FitOptions, ModelOptions, PretrainObjectives


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


EMPTY = "the check has samples without reads, which no model of sequences can read: a ValueError that names them"
EXPECTED_TO_FAIL = {
    "AAMEncoder": {
        "check_estimator_sparse_tag": EMPTY,
        "check_estimator_sparse_array": EMPTY,
        "check_estimator_sparse_matrix": EMPTY,
        "check_estimators_dtypes": EMPTY,
        "check_fit2d_1feature": EMPTY,
        "check_methods_subset_invariance": "float32 sums of other batches differ in the last bits, and the check allows 1e-7",
    },
}


def quick_estimators() -> list[aam.AAMRegressor | aam.AAMClassifier | aam.AAMEncoder]:
    ensemble = aam.EnsembleOptions(cross_fit_folds=2, kernel_tuning_samples=30, forest_trees=5, boosting_rounds=5)
    encoder = aam.AAMEncoder(
        sequences=MadeUp(),
        epochs=1,
        model_options=ModelOptions(embedding_dim=8, attention_heads=1, attention_layers=1),
        # Without a tree.
        objectives=PretrainObjectives(penalty=0),
        fit_options=FitOptions(batch_size=64),
    )
    kinds = (aam.AAMRegressor, aam.AAMClassifier)
    return [*(kind(ensemble_options=ensemble, n_jobs=1) for kind in kinds), encoder]


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
@parametrize_with_checks(
    quick_estimators(), expected_failed_checks=lambda estimator: EXPECTED_TO_FAIL.get(type(estimator).__name__, {})
)
def test_it_keeps_the_contract(estimator, check):
    check(estimator)
