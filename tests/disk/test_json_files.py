"""JSON holds what JSON can."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aam.disk.json_files import finite_or_null, json_text, write_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def refuse(constant):
    raise ValueError(constant)


@given(VALUES)
def test_any_value_is_read_back_with_null_for_what_is_not_finite(value):
    assert json.loads(json_text(value), parse_constant=refuse) == finite_or_null(value)


def test_what_is_not_finite_is_null_at_any_depth():
    value = {"a": float("nan"), "b": [1.5, (float("inf"), np.float64("-inf"))], "c": {"d": np.nan}}
    assert finite_or_null(value) == {"a": None, "b": [1.5, [None, None]], "c": {"d": None}}


def test_a_file_is_text_for_people(tmp_path):
    write_json(tmp_path / "new" / "metrics.json", {"name": "Å", "mae": 1.5})
    assert (tmp_path / "new" / "metrics.json").read_text(encoding="utf-8") == '{\n  "name": "Å",\n  "mae": 1.5\n}\n'
