"""Checks of arguments, and what errors say."""

from pathlib import Path

import pytest

from aam.errors import InputError, first_few, one_line, path_of


def test_a_path_is_text_or_a_path():
    assert path_of("table", "a/b.biom") == Path("a/b.biom")
    assert path_of("table", Path("a/b.biom")) == Path("a/b.biom")
    assert path_of("table", "~/b.biom") == Path.home() / "b.biom"


@pytest.mark.parametrize("value", [3, "", b"table.biom", ["table.biom"], True, None])
def test_what_is_no_path_is_told_by_the_name_of_its_argument(value):
    with pytest.raises(InputError, match=r"^`rep_seqs`: must be a path") as caught:
        path_of("rep_seqs", value)
    assert type(value).__name__ in str(caught.value)
    assert "\n" not in str(caught.value)


def test_messages_are_short():
    assert first_few("abc") == "a, b, c"
    assert first_few(range(20)) == "0, 1, 2, 3, 4 ... (15 more)"
    assert one_line(ValueError("first\n  second")) == "first second"
    assert len(one_line(ValueError("x" * 10_000))) < 1_100
