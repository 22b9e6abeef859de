"""Covariates: what models read of metadata columns, fitted to training samples alone."""

import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from aam.data.metadata import Metadata
from aam.disk.schema import parse
from aam.errors import InputError
from aam.study.covariates import Covariates, numbers_of

FRAME = pd.DataFrame(
    {"sex": ["m", None, "f"], "study": [10.0, 9.0, np.nan], "bmi": [20.0, np.nan, 26.0], "ph": [7.0, 5.0, 6.0]},
    index=["s1", "s2", "s3"],
)
METADATA = Metadata(FRAME)


def fit(categorical, numeric=(), metadata=METADATA):
    return Covariates.named(categorical, numeric).fit(metadata)


def test_levels_are_columns_and_what_is_unseen_or_missing_is_in_none():
    fitted = fit(("study", "sex"))
    assert parse(Covariates, json.loads(json.dumps(asdict(fitted))), "covariates") == fitted
    assert fitted.vocabularies == {"study": ("10", "9"), "sex": ("f", "m")}
    assert (fitted.sizes, fitted.width, fitted.columns) == ((2, 2), 4, ("study", "sex"))
    design = fitted.encode(METADATA)
    assert (design.dtype, design.tolist()) == (np.float32, [[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0]])
    # A new file may type the column otherwise; unseen values have no column of their own.
    new = pd.DataFrame({"sex": ["f", "other"], "study": ["9", "11"]}, index=["n1", "n2"])
    assert fitted.encode(Metadata(new)).tolist() == [[0, 1, 1, 0], [0, 0, 0, 0]]


def test_numbers_are_scaled_and_a_missing_one_is_the_mean_and_told_apart():
    fitted = fit(("sex",), ("bmi", "ph"))
    assert parse(Covariates, json.loads(json.dumps(asdict(fitted))), "covariates") == fitted
    assert fitted.numbers == {"bmi": (23.0, 3.0), "ph": (6.0, pytest.approx(np.sqrt(2 / 3)))}
    assert (fitted.lacking, fitted.width) == (("bmi",), 5)
    assert fitted.places == {"sex": [0, 1], "bmi": [2, 4], "ph": [3]}
    root = np.sqrt(1.5)
    np.testing.assert_allclose(fitted.encode(METADATA)[:, 2:], [[-1, root, 0], [0, -root, 1], [1, 0, 0]], rtol=1e-6)
    new = Metadata(pd.DataFrame({"sex": ["m", "m"], "bmi": ["29", None], "ph": [None, "6"]}, index=["n1", "n2"]))
    np.testing.assert_allclose(fitted.encode(new), [[0, 1, 2, 0, 0], [0, 1, 0, 0, 1]])


def test_a_missing_number_that_no_training_sample_lacks_is_said(caplog):
    fit((), ("ph",)).encode(Metadata(pd.DataFrame({"ph": [None, 6.0]}, index=["n1", "n2"])))
    assert "1 of 2 samples has no ph, which all training samples have: read as their mean" in caplog.text


@pytest.mark.parametrize("values", [[3.0, 3.0, 3.0], [np.nan, np.nan, np.nan], [0.1, 0.1, 0.1]])
def test_a_constant_number_says_nothing_of_any_sample(values, caplog):
    metadata = Metadata(FRAME.assign(bmi=values))
    fitted = fit((), ("bmi",), metadata)
    fitted.warn_of_constant(metadata)
    assert "covariate bmi: the same in all training samples" in caplog.text
    assert fitted.encode(Metadata(FRAME)).tolist() == [[0], [0], [0]]


def test_huge_numbers_stay_finite():
    fitted = fit((), ("bmi",), Metadata(FRAME.assign(bmi=[1.7e308, -1.7e308, 1.7e308])))
    assert np.isfinite(fitted.numbers["bmi"]).all()
    assert np.isfinite(fitted.encode(Metadata(FRAME.assign(bmi=[1.7e308, -1.7e308, 0])))).all()
    small = fit((), ("bmi",), Metadata(FRAME.assign(bmi=[1e-300, 2e-300, 3e-300])))
    assert small.encode(Metadata(FRAME)).max() == 1e6


def test_absent_columns_and_text_among_numbers_are_named():
    with pytest.raises(InputError, match="the metadata has no column diet, which the model reads; columns: sex, study, bmi, ph"):
        fit(("sex", "diet"))
    with pytest.raises(InputError, match=r"no column ph, .*; columns: study"):
        fit((), ("ph",)).encode(Metadata(FRAME[["study"]]))
    text = Metadata(FRAME.assign(ph=["7", "acid", "6"]))
    expected = r"`numeric_columns=ph`: 1 of 3 values are not numbers: 'acid' \(1 sample: s2\); correct them, or give ph as"
    with pytest.raises(InputError, match=expected):
        numbers_of(text, "ph", chosen=True)
    # What predicts has no such option.
    expected = r"column ph, which the model reads as numbers: 1 of 3 values are not numbers: 'acid' \(1 sample: s2\); correct them$"
    with pytest.raises(InputError, match=expected):
        fit((), ("ph",)).encode(text)
    with pytest.raises(InputError, match=r"'NA' \(1 sample: s3\); give `missing_values=NA` where that means missing"):
        fit((), ("ph",), Metadata(FRAME.assign(ph=["7", "5", "NA"])))


def test_vocabularies_do_not_depend_on_row_order():
    values = [f"value {number}" for number in range(20)]
    assert fit(("a",), metadata=Metadata(pd.DataFrame({"a": values[::-1]}))).vocabularies["a"] == tuple(sorted(values))


def test_no_covariates():
    assert Covariates().fit(METADATA).encode(METADATA).shape == (3, 0)
    assert Covariates().of_samples(None) is None
