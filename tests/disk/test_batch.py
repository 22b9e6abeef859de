"""Many tables, each to files of its own: what these are called, and the list of what was made."""

from pathlib import Path

import pytest

from aam.disk.batch import Index, Piece, names_of, placed
from aam.errors import InputError


@pytest.mark.parametrize(
    ("tables", "names"),
    [
        (["a.biom"], ["a"]),
        (["runs/a.biom", "runs/b.tsv.gz", "c.v2.qza", "d"], ["a", "b", "c.v2", "d"]),
        (["runs/r1/table.biom", "runs/r2/table.biom"], ["r1_table", "r2_table"]),
        (["runs/table.biom", "runs/r2/table.biom"], ["table", "r2_table"]),
        (["r1/x/table.qza", "r2/x/table.qza", "r2/x/other.qza"], ["r1_x_table", "r2_x_table", "r2_x_other"]),
        (["/one/table.biom", "/two/Table.biom"], ["one_table", "two_Table"]),
    ],
)
def test_a_table_is_called_as_its_file_and_by_its_folders_where_two_are_alike(tables, names):
    assert names_of([Path(table) for table in tables]) == names


@pytest.mark.parametrize(
    "tables", [["a.biom", "a.tsv"], ["a.biom", "a.biom"], ["r/a.biom", "r/A.biom.gz"], ["x_y/a", "x/y_a", "b/a"]]
)
def test_tables_that_cannot_be_told_apart_are_refused(tables):
    with pytest.raises(InputError, match=r"`table`: .* and .* would both be called .*; rename one"):
        names_of([Path(table) for table in tables])


def test_every_star_of_a_place_is_the_name():
    assert placed(Path("out/*/p_*.tsv"), "a") == Path("out/a/p_a.tsv")


def piece(folder, name, made_from="key"):
    output = folder / f"{name}.tsv"
    return Piece(Path(f"{name}.biom"), output, (output,), made_from)


def writes(folder, pieces):
    def work(number):
        pieces[number].output.write_text(pieces[number].made_from)
        return {"samples": number + 1}

    return work


def test_a_list_is_written_after_each_table_and_read_again(tmp_path):
    pieces = [piece(tmp_path, "a"), piece(tmp_path, "b")]
    seen = []

    def work(number):
        seen.append((tmp_path / "tables.tsv").exists())
        return writes(tmp_path, pieces)(number)

    Index(tmp_path / "*.tsv").work_through(pieces, work)
    assert seen == [False, True]
    assert (tmp_path / "tables.tsv").read_text() == (
        "table\tfile\tsamples\terror\tmade_from\na.biom\ta.tsv\t1\t\tkey\nb.biom\tb.tsv\t2\t\tkey\n"
    )
    again = Index(tmp_path / "*.tsv")
    assert again.has(tmp_path / "a.tsv")
    assert not again.has(tmp_path / "c.tsv")


def test_what_is_there_and_made_from_the_same_is_not_made_again(tmp_path):
    pieces = [piece(tmp_path, name) for name in "abc"]
    Index(tmp_path / "*.tsv").work_through(pieces, writes(tmp_path, pieces))
    (tmp_path / "b.tsv").unlink()
    later = [pieces[0], pieces[1], piece(tmp_path, "c", "other"), piece(tmp_path, "d")]
    done = []

    def work(number):
        done.append(number)
        return writes(tmp_path, later)(number)

    Index(tmp_path / "*.tsv").work_through(later, work, resume=True)
    assert done == [1, 2, 3]
    done.clear()
    Index(tmp_path / "*.tsv").work_through(later, work)
    assert done == [0, 1, 2, 3]


def test_a_table_that_fails_costs_a_line_and_is_tried_again(tmp_path, caplog):
    pieces = [piece(tmp_path, name) for name in "ab"]

    def work(number):
        if number == 0:
            raise InputError("`table=a.biom`: no\ngood")
        return writes(tmp_path, pieces)(number)

    index = Index(tmp_path / "*.tsv")
    with pytest.raises(InputError, match=r"^1 of 2 tables is left out, .*tables\.tsv says why: a\.biom; all others are done"):
        index.work_through(pieces, work, spell=str.upper)
    assert "a.biom is left out" in caplog.text
    rows = (tmp_path / "tables.tsv").read_text().splitlines()
    assert rows[1] == "a.biom\ta.tsv\t\t`TABLE=A.BIOM`: NO GOOD\t"
    assert rows[2].endswith("\tkey")
    Index(tmp_path / "*.tsv").work_through(pieces, writes(tmp_path, pieces), resume=True)
    assert (tmp_path / "tables.tsv").read_text().splitlines()[1] == "a.biom\ta.tsv\t1\t\tkey"


def test_a_fault_of_ours_ends_it(tmp_path):
    with pytest.raises(ZeroDivisionError):
        Index(tmp_path / "*.tsv").work_through([piece(tmp_path, "a")], lambda number: {"samples": 1 // number})


@pytest.mark.parametrize(
    "content",
    [
        b"sample-id\tage\nS1\t3\n",
        b"",
        b"\xff\xfe",
        b"table\tfile\terror\tmade_from\na\n",
        b"table\tfile\terror\tmade_from\na\tb\t\tc\td\n",
    ],
)
def test_a_file_of_its_name_that_is_another_s_is_refused(tmp_path, content):
    (tmp_path / "tables.tsv").write_bytes(content)
    with pytest.raises(InputError, match=r"tables\.tsv: .*; choose another folder for `output`$"):
        Index(tmp_path / "p*.tsv")


def test_the_list_lies_above_the_first_star(tmp_path):
    assert Index(tmp_path / "out" / "run-*" / "*.tsv").path == tmp_path / "out" / "tables.tsv"
    assert Index(Path("*.tsv")).path == Path("tables.tsv")
