"""One rule for the IDs of all formats, and what a message shows of them."""

import logging

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aam.data.ids import check_ids, read_ids
from aam.data.stream import open_tables
from aam.data.table import read_table
from aam.errors import InputError, first_few, shown
from tests.support.formats import FEATURES, SAMPLES, VALUES, biom_table, hdf5_bytes, qza_bytes, tsv_text

BLANKS = [" AAAA", "AAAC\u00a0", "AAAT", "AAAG\u3000 "]
AROUND = ["2538.1001130 ", "s.2", "10317.000003639"]


def formats(features, samples):
    """One table in each format, with the IDs as they are given."""
    table = biom_table(VALUES, features, samples)
    text = tsv_text(VALUES.astype(int), features, samples)
    by_samples = "\n".join(",".join(row) for row in zip(*(line.split("\t") for line in text.splitlines()[1:]), strict=True))
    return {
        "table.biom": hdf5_bytes(table),
        "json.biom": table.to_json("test").encode(),
        "table.qza": qza_bytes(hdf5_bytes(table)),
        "table.tsv": text.encode(),
        "table.csv": text.partition("\n")[2].replace("\t", ",").encode(),
        "by_samples.csv": by_samples.replace("#OTU ID", "sample-id").encode(),
    }


READERS = [*((name, read_table) for name in formats(FEATURES, SAMPLES)), ("table.biom", lambda path: open_tables([path]))]


@pytest.mark.parametrize(("name", "read"), READERS)
def test_ids_are_the_same_in_every_format(tmp_path, caplog, name, read):
    path = tmp_path / name
    path.write_bytes(formats(BLANKS, AROUND)[name])
    with caplog.at_level(logging.WARNING):
        table = read(path)
    assert table.sample_ids == tuple(SAMPLES)
    assert table.feature_ids == tuple(FEATURES)
    np.testing.assert_array_equal(table.counts[np.arange(3)].toarray(), VALUES.T)
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: 1 of 3 sample IDs have blanks at their ends, which are left out",
        f"{path}: 3 of 4 feature IDs have blanks at their ends, which are left out",
    ]


@pytest.mark.parametrize("name", formats(FEATURES, SAMPLES))
def test_ids_that_only_blanks_tell_apart_are_named(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(formats(["AAAA", "AAAA ", "AAAT", "AAAG"], SAMPLES)[name])
    with pytest.raises(InputError, match="feature ids that only blanks at their ends tell apart: AAAA, 'AAAA '; every feature"):
        read_table(path)


def test_ids_that_only_blanks_tell_apart_are_named_in_a_stream(tmp_path):
    path = tmp_path / "table.biom"
    path.write_bytes(hdf5_bytes(biom_table()))
    with h5py.File(path, "r+") as handle:
        handle["sample/ids"][0] = "s.2 "
    with pytest.raises(InputError, match=r"sample ids that only blanks at their ends tell apart: s\.2, 's\.2 '"):
        open_tables([path])


def test_numbers_have_commas(caplog):
    with caplog.at_level(logging.WARNING):
        read_ids("table.biom", "feature", [f"f{number}" + " " * (number < 176) for number in range(1594)])
    assert caplog.messages == ["table.biom: 176 of 1,594 feature IDs have blanks at their ends, which are left out"]


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=4), min_size=1, max_size=6))
def test_what_is_read_is_sound_or_refused(written):
    try:
        ids = read_ids("table", "sample", written)
    except InputError as error:
        stripped = [name.strip() for name in written]
        assert "" in stripped or len(set(stripped)) < len(stripped)
        assert str(error).isprintable()
    else:
        assert all(name == name.strip() for name in ids)
        assert len(set(ids)) == len(ids) == len(written)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([], "the table has no samples"),
        (["a", "", "b"], "sample 2 of 3 has no id"),
        (["a\tb"], r"no line of text: 'a\\tb'"),
        (["S1\u200b", "S1\u200b"], r"duplicate sample ids: 'S1\\u200b';"),
    ],
)
def test_ids_that_are_none(ids, message):
    with pytest.raises(InputError, match=message):
        check_ids("table", "sample", ids)


SHOWN = {
    "S1": "S1",
    "S 1": "S 1",
    "Größe": "Größe",
    "土壌_1": "土壌_1",
    "": "''",
    "S1 ": "'S1 '",
    "S1\u200b": r"'S1\u200b'",
    "\ufeffS1": r"'\ufeffS1'",
    "S\u00a01": r"'S\xa01'",
    "S\u00ad1": r"'S\xad1'",
    "S1\n": r"'S1\n'",
    "S1\ufe0f": r"'S1\ufe0f'",
    "Gro\u0308ße": r"'Gro\u0308\xdfe'",
    "\ud800": r"'\ud800'",
}


@pytest.mark.parametrize(("name", "seen"), SHOWN.items())
def test_what_cannot_be_seen_is_shown(name, seen):
    assert shown(name) == seen
    assert first_few([name, "b"]) == f"{seen}, b"
