import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils.class_weight import compute_class_weight

from aam.errors import InputError
from aam.study.targets import ClassTarget, RegressionTarget

TRANSFORMS = ("none", "minmax", "zscore", "log-zscore", "log-minmax")
VALUES = np.array([1.0, 3.0, 12.5, 739.0, 40.0])


def reloaded(fitted):
    return type(fitted)(**json.loads(json.dumps(asdict(fitted))))


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        ("none", VALUES),
        ("minmax", MinMaxScaler().fit_transform(VALUES[:, None])[:, 0]),
        ("zscore", StandardScaler().fit_transform(VALUES[:, None])[:, 0]),
        ("log-zscore", StandardScaler().fit_transform(np.log1p(VALUES)[:, None])[:, 0]),
        ("log-minmax", MinMaxScaler().fit_transform(np.log1p(VALUES)[:, None])[:, 0]),
    ],
)
def test_transforms_equal_scikit_learn(transform, expected):
    np.testing.assert_allclose(RegressionTarget(transform).fit(VALUES).encode(VALUES), expected, atol=1e-12)


@given(
    values=st.lists(st.floats(0, 1e5), min_size=2, max_size=8).filter(lambda values: np.ptp(values) > 1e-3),
    transform=st.sampled_from(TRANSFORMS),
)
def test_decoding_undoes_encoding_for_arrays_and_tensors_also_after_json(values, transform):
    array = np.array(values)
    target = reloaded(RegressionTarget(transform).fit(array))
    assert target == RegressionTarget(transform).fit(array)
    np.testing.assert_allclose(target.decode(target.encode(array)), array, rtol=1e-9, atol=1e-6)
    tensor = torch.tensor(array)
    assert isinstance(target.encode(tensor), torch.Tensor)
    np.testing.assert_allclose(target.encode(tensor).numpy(), target.encode(array))
    np.testing.assert_allclose(target.decode(target.encode(tensor)).numpy(), array, rtol=1e-9, atol=1e-6)


def test_gradients_pass_through_the_transform():
    prediction = torch.tensor([0.5], requires_grad=True)
    RegressionTarget("log-zscore").fit(VALUES).decode(prediction).sum().backward()
    assert prediction.grad.item() > 0


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_constant_target_is_refused(transform):
    with pytest.raises(InputError, match="the target is 6 in all 3 training samples"):
        RegressionTarget(transform).fit(np.full(3, 6.0))


def test_negative_values_are_refused_by_the_logarithm_only():
    values = np.array([-0.5, 2.0])
    assert RegressionTarget("zscore").fit(values).encode(values).tolist() == [-1, 1]
    with pytest.raises(InputError, match=r"target value -0\.5 is negative: .*use zscore"):
        RegressionTarget("log-zscore").fit(values)
    with pytest.raises(InputError, match=r"target value -0\.5 is negative"):
        RegressionTarget("log-zscore").fit(VALUES).encode(values)


def fitted_to(labels):
    target = ClassTarget.of(labels)
    return target.fit(target.index(labels))


def test_classes_are_sorted_weighted_and_survive_json():
    labels = np.array(["b", "a", "b", "b", "c"], dtype=object)
    target = reloaded(fitted_to(labels))
    assert target == fitted_to(labels)
    assert target.classes == ("a", "b", "c")
    np.testing.assert_allclose(target.weights, compute_class_weight("balanced", classes=np.array(["a", "b", "c"]), y=labels))
    codes = target.index(labels)
    assert (codes.dtype, codes.tolist()) == (np.int64, [1, 0, 1, 1, 2])
    assert target.labels(codes).tolist() == labels.tolist()


def test_class_errors():
    with pytest.raises(InputError, match="the target is a in all 2 samples"):
        ClassTarget.of(["a", "a"])
    with pytest.raises(InputError, match="class x, y is not among the training samples' classes: a, b"):
        ClassTarget.of(["a", "b"]).index(["a", "y", "x"])
    with pytest.raises(InputError, match=r"class b is not among the training samples; .*`where`"):
        ClassTarget.of(["a", "b"]).fit(np.array([0, 0]))


@pytest.mark.parametrize(("loss_type", "expected"), [("mse", 10), ("mae", 4), ("huber", 0.5 + 2.5)])
def test_losses_of_a_number(loss_type, expected):
    predicted, true = torch.tensor([1.0, 5.0]), torch.tensor([2.0, 2.0])
    assert RegressionTarget(loss_type=loss_type).loss(predicted[:, None], true) == pytest.approx(expected)


def test_the_loss_of_classes_weighs_them_alike_and_adds_up_over_batches():
    labels = np.array(["a", "a", "a", "b"], dtype=object)
    target = fitted_to(labels)
    true, logits = torch.tensor(target.index(labels)), torch.zeros(4, 2, requires_grad=True)
    loss = target.loss(logits, true)
    # Of logits that say nothing, each class has half of the loss.
    assert loss.item() == pytest.approx(4 * np.log(2))
    parts = [target.loss(logits[rows], true[rows]).item() for rows in (slice(0, 1), slice(1, 4))]
    assert sum(parts) == pytest.approx(loss.item())
    loss.backward()
    assert logits.grad[:3, 0].sum().item() == pytest.approx(logits.grad[3, 1].item())


def test_a_target_knows_what_is_learned_said_and_trivial():
    number = RegressionTarget("log-zscore").fit(VALUES)
    learned = number.learned(VALUES)
    assert learned.dtype == np.float32
    np.testing.assert_allclose(number.decode_outputs(learned[:, None]), VALUES, rtol=1e-5)
    assert number.trivial(VALUES, 2).tolist() == [12.5, 12.5]
    assert number.labels(VALUES) is None
    assert number.interval_table(np.array([5.0]), 2.0) == {"lower": 3.0, "upper": 7.0}
    classes = fitted_to(["a", "b", "b"])
    assert classes.learned(np.array([1, 0])).tolist() == [1, 0]
    np.testing.assert_allclose(classes.decode_outputs(np.log([[1.0, 3.0]])), [[0.25, 0.75]])
    np.testing.assert_allclose(classes.trivial(np.array([0, 1, 1]), 2), [[1 / 3, 2 / 3]] * 2)
    assert classes.names(np.array([[0.2, 0.8]])).tolist() == ["b"]
    sets = classes.interval_table(np.array([[0.2, 0.8], [0.5, 0.5]]), 0.7)
    assert {name: values.tolist() for name, values in sets.items()} == {"set": ["b", "a;b"]}


@pytest.mark.parametrize("name", ["a\tb", "a\nb", "a\rb"])
def test_a_class_that_no_cell_can_hold_is_refused(name):
    """QIIME 2 would find three columns in its row."""
    with pytest.raises(InputError, match=r"^class 'a\\[tnr]b' holds a tab or a line break"):
        ClassTarget.of([name, "c"])
