"""What a condition compares that its writer may not expect is said; the others stay quiet."""

import pytest

from aam.data.metadata import read_metadata
from aam.data.where import select_where

TEXT = """id\tage\tsite\tweight\tplot\tday
S1\t10\tgut\tNA\t1.10\tten
S2\t9\tskin\t70\t1.1\t9
S3\t\tgut\t8\t2\t10
"""


@pytest.fixture
def metadata(tmp_path):
    path = tmp_path / "metadata.tsv"
    path.write_text(TEXT)
    return read_metadata(path)


WARNED = {
    "[day] > 9": "day is text, so \"day > 9\" compares in the order of text, where '10' comes before '9'",
    "day = 10": 'day is text, so "day = 10" compares as text: only what is written 10 is equal',
    "'9' <= \"day\"": "day is text, so \"day >= '9'\" compares in the order of text",
    "day BETWEEN 1 AND 99": 'day is text, so "day BETWEEN 1" compares in the order of text',
    "day NOT IN (10, 9)": 'day is text, so "day IN 10" compares as text',
    "age > 1 AND weight > 9": (
        "\"weight > 9\" compares in the order of text, where '10' comes before '9'; it is text because of 'NA' (1 sample: S1): "
        "`missing_values=NA` makes it a column of numbers"
    ),
    "age != 'NA'": "age is a column of numbers, and \"age != 'NA'\" compares it with text: no number is equal to text",
    "age < 'x'": "\"age < 'x'\" compares it with text: every number comes before text",
    "plot = '1.10'": "plot is a column of numbers: \"plot = '1.10'\" compares numbers: '1.1' is the same; #q2:types categorical",
    "day <> '' AND day IN (3, 10)": 'day is text, so "day IN 3" compares as text: only what is written 3 is equal',
    "day IN ('3', 10)": 'day is text, so "day IN 10" compares as text: only what is written 10 is equal',
    "(day) > 5": 'day is text, so "day > 5" compares in the order of text',
    "day > (5)": 'day is text, so "day > 5" compares in the order of text',
    "((day > ((5))))": 'day is text, so "day > 5" compares in the order of text',
    "length(site) > 1 AND (5) < (day)": 'day is text, so "day > 5" compares in the order of text',
    "age BETWEEN 1 AND '99x'": "age is a column of numbers, and \"age BETWEEN '99x'\" compares it with text",
    "day IS NOT 10": 'day is text, so "day IS 10" compares as text',
    "day > -1": 'day is text, so "day > -1"',
}


@pytest.mark.parametrize(("where", "said"), WARNED.items())
def test_numbers_compared_with_text_are_warned_about_once(metadata, where, said, caplog):
    select_where(metadata.typed, where, metadata.written)
    assert said in caplog.text
    assert len(caplog.records) == 1
    assert "\n" not in caplog.records[0].message


QUIET = [
    "age > 9",
    "[age]>=9.0",
    "site = 'gut'",
    'site="gut"',
    "plot = 1.1",
    "plot='2'",
    "day = '10'",
    "site != '10 > day'",
    "age = '10'",
]
QUIET += [
    "site LIKE 'g%' OR age IS NULL",
    "age BETWEEN 1 AND 9",
    "id = 'S1'",
    "length(day) > 1",
    "length(day) = 3 OR (site) IN ('gut')",
    "day IN ('9', '10')",
    "site IN ('gut')",
    "day<'x'",
]


@pytest.mark.parametrize("where", QUIET)
def test_what_compares_as_it_reads_is_quiet(metadata, where, caplog):
    select_where(metadata.typed, where, metadata.written)
    assert not caplog.records


def test_a_word_with_a_comma_has_no_option(tmp_path, caplog):
    path = tmp_path / "metadata"
    path.write_text("id\tage\nS1\t10\nS2\tmissing: lost, or late\n")
    metadata = read_metadata(path)
    select_where(metadata.typed, "age > 5", metadata.written)
    assert caplog.messages[0].endswith("it is text because of 'missing: lost, or late' (1 sample: S2)")
