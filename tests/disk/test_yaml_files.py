"""YAML files: what they hold, and what is said of broken ones."""

import re

import pytest
import yaml

from aam.disk.yaml_files import read_yaml
from aam.errors import InputError

GOOD = [
    "",
    "a: [1, 2.5, yes, null]\nb: {c: 2001-01-01}\n",
    "base: &base {a: 1, b: 2}\nother: {<<: *base, a: 3}\nagain: {<<: *base, a: 4}\n",
    "- {a: 1}\n- {a: 1}\n",
]


@pytest.mark.parametrize("text", GOOD)
def test_a_file_holds_what_yaml_says(tmp_path, text):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    assert read_yaml(path, "space") == yaml.safe_load(text)


def test_texts_stay_texts(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: no\nb: [1, 2001-99-99]\n")
    assert read_yaml(path, "config", typed=False) == {"a": "no", "b": ["1", "2001-99-99"]}


BAD = [
    (b"a: [", "expected the node content"),
    (b"a: 1\nb: 2\na: 3\n", "'a' is there twice in"),
    (b"a: {b: 1, 'b': 2}\n", "'b' is there twice in"),
    (b"a: 2001-99-99\n", "month must be in 1..12"),
    (b"a: !!int ''\n", "index out of range"),
    (b"a: !!timestamp x\n", "NoneType"),
    (b"a: !!python/name:os.system\n", "could not determine a constructor"),
    (b"\xff", "can't decode"),
    (b"[" * 1000, "recursion"),
    (b"a: " + b"1" * 5000, "integer string conversion"),
]


@pytest.mark.parametrize(("content", "error"), BAD, ids=[str(content[:30]) for content, _ in BAD])
def test_what_is_wrong_is_one_line_with_the_option(tmp_path, content, error):
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=error) as raised:
        read_yaml(path, "space")
    assert re.match(re.escape(f"`space={path}`: cannot be read as YAML: ") + r".+\Z", str(raised.value))


def test_a_key_that_is_there_twice_is_wrong_where_values_are_texts_too(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\na: 2\n")
    with pytest.raises(InputError, match="'a' is there twice"):
        read_yaml(path, "config", typed=False)
    with pytest.raises(InputError, match=r"cannot be read as YAML: .*No such file"):
        read_yaml(tmp_path / "nowhere.yaml", "config")
