import numpy as np
import pytest

from aam.data.numbers import finite_number, row_of_numbers


@pytest.mark.parametrize(
    ("text", "number"), [("1", 1), (" -1.50\u00a0", -1.5), ("+2e3", 2000), (".5", 0.5), ("3.", 3), ("\t007\n", 7), ("-0", 0)]
)
def test_what_people_write_as_a_number(text, number):
    assert finite_number(text) == number


@pytest.mark.parametrize(
    "text", ["", " ", "1_000", "nan", "inf", "-Infinity", "1e400", "1,5", "1 000", "0x10", "12 kg", "\u0663", "\uff11", "--1"]
)
def test_what_is_none(text):
    assert finite_number(text) is None


def test_a_row_of_numbers_is_read_by_the_same_rule():
    np.testing.assert_array_equal(row_of_numbers(["1", " 2.5\u00a0", "nan", "inf"]), [1, 2.5, np.nan, np.inf])
    for wrong in ("1_000", "\u0663", "x", ""):
        with pytest.raises(ValueError, match="could not convert"):
            row_of_numbers(["1", wrong])
