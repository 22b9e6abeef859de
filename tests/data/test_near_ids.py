"""Ids that are there but for how they are written are told, with what they differ in."""

import pytest

from aam.data.near_ids import near_ids


@pytest.mark.parametrize(
    ("missing", "there", "said"),
    [
        ("ASV_1 ", "ASV_1", "blanks at an end: 'ASV_1 ' is 'ASV_1'"),
        ("ASV_1\u00a0", "ASV_1", r"blanks at an end: 'ASV_1\xa0' is 'ASV_1'"),
        ("S1", "s1", "upper and lower case: 'S1' is 's1'"),
        ("X123", "123", "an X in front, which R puts before digits: 'X123' is '123'"),
        ("X12.3", "12-3", "dots for other characters, as R writes names: 'X12.3' is '12-3'"),
        ("a;size=12;", "a", "an ending such as ;size=: 'a;size=12;' is 'a'"),
        ("a b", "a_b", "_ for a blank: 'a b' is 'a_b'"),
        ('"a"', "a", "quotation marks: '\"a\"' is 'a'"),
        ("a\u200b", "a", r"characters that do not show: 'a\u200b' is 'a'"),
        ("\ufeffa", "a", r"characters that do not show: '\ufeffa' is 'a'"),
        ("caf\u00e9", "cafe\u0301", r"how letters are composed: 'café' is 'cafe\u0301'"),
        ("2538.100113", "2538.1001130", "how numbers are written (saved by another program?): '2538.100113' is '2538.1001130'"),
        ("1", "001", "how numbers are written (saved by another program?): '1' is '001'"),
        (" S-1", "s.1", "more than one difference: ' S-1' is 's.1'"),
    ],
)
def test_what_two_ids_differ_in(missing, there, said):
    for one, other in ((missing, there), (there, missing)):
        kind = said.partition(":")[0]
        hint = near_ids(["unheard of", one], [other, "another"], "the tree")
        assert hint.startswith(f" (1 looks like an id of the tree but for {kind}")
    hint = near_ids(["unheard of", missing], [there, "another"], "the tree")
    assert hint == f" (1 looks like an id of the tree but for {said} there)"


def test_how_many_and_none():
    assert near_ids(["S1", "S2", "x"], ["s1", "s2"], "the matrix").startswith(" (2 look like ids of the matrix but for upper")
    for missing, there in (
        (["a"], ["b"]),
        ([], ["a"]),
        (["a"], []),
        (["", " "], ["", "'"]),
        (["nan"], ["NaN0"]),
        (["1e400"], ["2e400x"]),
    ):
        assert near_ids(missing, there, "the tree") == ""


def test_a_number_with_a_separator_behind_it_is_read_as_one():
    """Python strips such characters from a text, and does not take them behind a number."""
    assert "'1e3\\x1f' is '1000' there" in near_ids(["1e3\x1f"], ["1000"], "the tree")
