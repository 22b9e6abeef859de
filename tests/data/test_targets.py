import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils.class_weight import compute_class_weight

from aam.errors import InputError
from aam.study.targets import Categoricals, ClassTarget, RegressionTarget

TRANSFORMS = ("none", "minmax", "zscore", "log-zscore")
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
    ],
)
def test_transforms_equal_scikit_learn(transform, expected):
    np.testing.assert_allclose(RegressionTarget.fit(VALUES, transform).forward(VALUES), expected, atol=1e-12)


@given(
    values=st.lists(st.floats(0, 1e5), min_size=2, max_size=8).filter(lambda values: np.ptp(values) > 1e-3),
    transform=st.sampled_from(TRANSFORMS),
)
def test_inverse_undoes_forward_for_arrays_and_tensors_also_after_json(values, transform):
    array = np.array(values)
    target = reloaded(RegressionTarget.fit(array, transform))
    assert target == RegressionTarget.fit(array, transform)
    np.testing.assert_allclose(target.inverse(target.forward(array)), array, rtol=1e-9, atol=1e-6)
    tensor = torch.tensor(array)
    assert isinstance(target.forward(tensor), torch.Tensor)
    np.testing.assert_allclose(target.forward(tensor).numpy(), target.forward(array))
    np.testing.assert_allclose(target.inverse(target.forward(tensor)).numpy(), array, rtol=1e-9, atol=1e-6)


def test_gradients_pass_through_the_transform():
    prediction = torch.tensor([0.5], requires_grad=True)
    RegressionTarget.fit(VALUES, "log-zscore").inverse(prediction).sum().backward()
    assert prediction.grad.item() > 0


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_constant_target_is_refused(transform):
    with pytest.raises(InputError, match="the target is 6 in all 3 training samples"):
        RegressionTarget.fit(np.full(3, 6.0), transform)


def test_negative_values_are_refused_by_the_logarithm_only():
    values = np.array([-0.5, 2.0])
    assert RegressionTarget.fit(values, "zscore").forward(values).tolist() == [-1, 1]
    with pytest.raises(InputError, match=r"target value -0\.5 is negative: .*use zscore"):
        RegressionTarget.fit(values, "log-zscore")
    with pytest.raises(InputError, match=r"target value -0\.5 is negative"):
        RegressionTarget.fit(VALUES, "log-zscore").forward(values)


def test_classes_are_sorted_weighted_and_survive_json():
    labels = np.array(["b", "a", "b", "b", "c"], dtype=object)
    target = reloaded(ClassTarget.fit(labels))
    assert target == ClassTarget.fit(labels)
    assert target.classes == ("a", "b", "c")
    np.testing.assert_allclose(target.weights, compute_class_weight("balanced", classes=np.array(["a", "b", "c"]), y=labels))
    codes = target.encode(labels)
    assert (codes.dtype, codes.tolist()) == (np.int64, [1, 0, 1, 1, 2])
    assert target.decode(codes).tolist() == labels.tolist()


def test_class_errors():
    with pytest.raises(InputError, match="the target is a in all 2 training samples"):
        ClassTarget.fit(["a", "a"])
    with pytest.raises(InputError, match="class x, y is not among the training samples' classes: a, b"):
        ClassTarget.fit(["a", "b"]).encode(["a", "y", "x"])


FRAME = pd.DataFrame({"sex": ["m", None, "f"], "study": [10.0, 9.0, np.nan], "note": ["x", "y", "z"]}, index=["s1", "s2", "s3"])


def test_categoricals_code_unseen_and_missing_values_as_0():
    categoricals = reloaded(Categoricals.fit(FRAME, ("study", "sex")))
    assert categoricals == Categoricals.fit(FRAME, ("study", "sex"))
    assert categoricals.vocabularies == {"study": ("10", "9"), "sex": ("f", "m")}
    assert categoricals.sizes == (3, 3)
    codes = categoricals.encode(FRAME)
    assert (codes.dtype, codes.tolist()) == (np.int64, [[1, 2], [2, 0], [0, 1]])
    # A new file may type the column otherwise; unseen values have no code of their own.
    new = pd.DataFrame({"sex": ["f", "other"], "study": ["9", "11"]}, index=["n1", "n2"])
    assert categoricals.encode(new).tolist() == [[2, 1], [0, 0]]


def test_categoricals_name_absent_columns():
    with pytest.raises(InputError, match="--categorical-columns: the metadata has no column diet; columns: sex, study, note"):
        Categoricals.fit(FRAME, ("sex", "diet"))
    with pytest.raises(InputError, match="no column sex; columns: study"):
        Categoricals.fit(FRAME, ("sex",)).encode(FRAME[["study"]])


def test_vocabularies_do_not_depend_on_row_order():
    values = [f"value {number}" for number in range(20)]
    assert Categoricals.fit(pd.DataFrame({"a": values[::-1]}), ("a",)).vocabularies["a"] == tuple(sorted(values))


def test_no_categoricals():
    assert Categoricals.fit(FRAME, ()).encode(FRAME).shape == (3, 0)
