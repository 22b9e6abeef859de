"""Targets of the estimators: quantiles, ranges, losses and weights, as parameters."""

from dataclasses import replace

import numpy as np
import pytest

import aam
from aam.errors import InputError
from aam.options import ModelOptions, TrainFitOptions
from tests.support.studies import QUICK, simulated_study

QUICKER = replace(QUICK, cross_fit_folds=2)
TRANSFORMER = {
    "recipe": "transformer",
    "model_options": ModelOptions(embedding_dim=8, attention_heads=1, attention_layers=1),
    "fit_options": TrainFitOptions(epochs=1),
}


@pytest.fixture(scope="module")
def study():
    return simulated_study()


def test_quantiles_within_a_range_also_after_loading(study, tmp_path):
    model = aam.AAMRegressor(ensemble_options=QUICKER, n_jobs=1, quantiles=(0.1, 0.5, 0.9), output_range=(0, None))
    model.fit(study, "age", groups="subject")
    found = model.predict_quantiles(study)
    assert found.shape == (len(study), 3)
    assert (np.diff(found, axis=1) >= 0).all() and (found >= 0).all() and (model.predict_interval(study) >= 0).all()
    np.testing.assert_array_equal(found[:, 1], model.predict(study))
    model.save(tmp_path / "model")
    loaded = aam.AAMRegressor.load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.predict_quantiles(study), found)
    assert (loaded.quantiles, loaded.output_range) == ((0.1, 0.5, 0.9), (0.0, None))


def test_a_transformer_learns_quantiles_and_the_order_of_classes(study, tmp_path):
    model = aam.AAMRegressor(**TRANSFORMER, loss_type="quantile", quantiles=[0.25, 0.5]).fit(study, "age")
    assert (np.diff(model.predict_quantiles(study), axis=1) >= 0).all()
    classes = np.digitize(study.metadata["age"].astype(float), [30, 50])
    ordered = aam.AAMClassifier(**TRANSFORMER, loss_type="ordinal", class_weights={2: 3}).fit(study, classes)
    np.testing.assert_allclose(ordered.predict_proba(study).sum(axis=1), 1)
    ordered.save(tmp_path / "model")
    loaded = aam.AAMClassifier.load(tmp_path / "model")
    assert (loaded.loss_type, loaded.class_weights) == ("ordinal", {"0": 1.0, "1": 1.0, "2": 3.0})


def test_an_asymmetric_loss_learns_its_level(study, tmp_path):
    options = {**TRANSFORMER, "fit_options": TrainFitOptions(epochs=3, lr=0.01), "loss_type": "asymmetric"}
    low, high = (aam.AAMRegressor(**options, asymmetry=level).fit(study, "age") for level in (0.05, 0.95))
    assert low.predict(study).mean() < high.predict(study).mean()
    high.save(tmp_path / "model")
    assert aam.AAMRegressor.load(tmp_path / "model").asymmetry == 0.95


def test_classes_are_learned_in_the_order_that_is_given(study, tmp_path):
    labels = np.array(["young", "middle", "old"])[np.digitize(study.metadata["age"].astype(float), [30, 50])]
    ordered = aam.AAMClassifier(**TRANSFORMER, loss_type="ordinal", class_order=["young", "middle", "old"]).fit(study, labels)
    assert ordered.classes_.tolist() == ["young", "middle", "old"]
    assert ordered.fitted_.target.target.classes == ("young", "middle", "old")
    # Of one sample, class by class: where classes were taken for each other, it would be worse than chance.
    assert set(ordered.predict(study)) <= set(labels)
    ordered.save(tmp_path / "model")
    assert aam.AAMClassifier.load(tmp_path / "model").class_order == ("young", "middle", "old")
    numbers = aam.AAMClassifier(**TRANSFORMER, loss_type="ordinal").fit(study, np.where(labels == "old", "10", "9"))
    assert numbers.classes_.tolist() == ["9", "10"]
    counted = np.bincount(ordered.fitted_.predict(study).argmax(axis=1), minlength=3)
    assert counted.sum() == len(study)


@pytest.mark.parametrize("recipe", [{"ensemble_options": QUICKER, "n_jobs": 1}, TRANSFORMER])
def test_training_samples_are_augmented(study, recipe):
    plain, changed = (aam.AAMRegressor(**recipe, augment=augment).fit(study, "age") for augment in (None, "rarefy=0.9"))
    assert changed.fitted_.augmentation.chosen == "rarefy=0.9"
    assert not np.allclose(plain.predict(study), changed.predict(study))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (aam.AAMRegressor(quantiles=(0.9, 0.5)), "`quantiles=0.9,0.5`: must be in rising order"),
        (aam.AAMRegressor(output_range=(30, None)), "is outside of `output_range=30,`"),
        (aam.AAMRegressor(output_range=(1, 2, 3)), "`output_range=.*`: must be a lower and an upper end"),
        (aam.AAMRegressor(loss_type="quantile"), "`recipe=ensemble`: takes no `loss_type`"),
        (aam.AAMRegressor(**TRANSFORMER, quantiles=(0.5, 0.9)), "give `loss_type=quantile`"),
        (aam.AAMRegressor(loss_type="ordinal"), "`loss_type=ordinal`: must be one of mae"),
        (aam.AAMRegressor(**TRANSFORMER, asymmetry=0.9), "`asymmetry` belongs to `loss_type=asymmetric`"),
        (aam.AAMRegressor(augment="shuffle"), "`augment=shuffle`"),
        (aam.AAMRegressor(fusion="gated", **TRANSFORMER), "`fusion=gated` needs `categorical_columns`"),
        (aam.AAMClassifier(**TRANSFORMER, loss_type="ordinal"), "no numbers: `loss_type=ordinal` needs their `class_order`"),
        (aam.AAMClassifier(**TRANSFORMER, class_order=["F", "M"]), "`class_order` belongs to `loss_type=ordinal`"),
        (aam.AAMClassifier(class_weights={"x": 1}), "`class_weights`: class x is not there"),
        (aam.AAMClassifier(class_weights="equal"), "`class_weights=equal`: must be balanced, none"),
    ],
)
def test_what_does_not_fit_names_the_parameter(study, model, said):
    y = "age" if isinstance(model, aam.AAMRegressor) else "sex"
    with pytest.raises(InputError, match=said):
        model.fit(study, y)


def test_an_estimator_without_quantiles_says_so(study):
    model = aam.AAMRegressor(ensemble_options=QUICKER, n_jobs=1).fit(study, "age", groups="subject")
    with pytest.raises(InputError, match="fitted without `quantiles`"):
        model.predict_quantiles(study)
