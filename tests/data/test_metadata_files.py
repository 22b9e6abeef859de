"""Metadata as other programs write them: the same cells out of each."""

import gzip
import io
import zipfile

import numpy as np
import pandas as pd
import pytest

from aam.data.metadata import read_metadata
from aam.data.metadata_files import read_sample_ids
from aam.errors import InputError
from tests.support.formats import qza_bytes

ROWS = [["sample-id", "age", "site"], ["S1", "1.10", "gut"], ["S2", "7", "skin, left"], ["S3", "", "a;b"]]


def separated(separator, rows=ROWS, end="\n"):
    quoted = [[f'"{cell}"' if separator in cell else cell for cell in row] for row in rows]
    return "".join(separator.join(row) + end for row in quoted)


def quoted_by_r(header):
    """As R writes: text in quotation marks, NA without."""
    return "\n".join([header, '"S1"\t1.10\t"gut"', '"S2"\t7\t"skin, left"', '"S3"\tNA\t"a;b"', ""])


TSV = separated("\t")
GOOD = {
    "tabs": TSV,
    "commas": separated(","),
    "commas, Windows": "\ufeff" + separated(",", end="\r\n"),
    "UTF-16": separated("\t").encode("utf-16"),
    "gzip": gzip.compress(separated(",").encode()),
    "carriage returns alone": separated("\t", end="\r"),
    "semicolons": separated(";"),
    "commas, quoted": separated(",").replace("S2", '"S2"').replace("gut", '"gut"'),
    "commas, sep=": "sep=,\n" + separated(","),
    "semicolons, sep=": "\ufeffsep=;\r\n" + separated(";", end="\r\n"),
    "commas, blanks": 'sample-id, age, site\n S1 , 1.10, gut\nS2,7, "skin, left"\nS3,,a;b\n',
    "commas, a comment": "# made by hand, today\n\n" + separated(","),
    "commas, #SampleID": separated(",").replace("sample-id", "#SampleID"),
    "R, no name for row names": quoted_by_r('"age"\t"site"').replace("NA", ""),
    "R, col.names=NA": quoted_by_r('""\t"age"\t"site"').replace("NA", ""),
    "pandas": separated(",").replace("sample-id", ""),
    "run table": separated(",").replace("sample-id", "Run"),
    "tabs at ends": TSV.replace("\n", "\t\t\n"),
    "no tabs at ends": TSV.replace("S3\t\ta;b", "S3\t\ta;b\n\t\t\n#S4\t5\tgut"),
    "blanks around": TSV.replace("S1", "  S1 ").replace("gut", " gut\u00a0"),
    "cells of what cannot be seen": TSV.replace("S3\t", "S3\t \u200b"),
    "ImmutableMetadata": qza_bytes(TSV, "ImmutableMetadata", "metadata.tsv"),
    "Visualization": qza_bytes(TSV, "Visualization", "metadata.tsv"),
    "SampleData": qza_bytes(TSV.replace("sample-id", ""), "SampleData[AlphaDiversity]", "alpha-diversity.tsv"),
}


def write(tmp_path, content, name="metadata"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("content", GOOD.values(), ids=GOOD.keys())
def test_the_same_cells_in_every_format(tmp_path, content):
    metadata = read_metadata(write(tmp_path, content))
    assert metadata.typed.index.tolist() == ["S1", "S2", "S3"]
    np.testing.assert_array_equal(metadata.typed["age"], [1.1, 7, np.nan])
    assert metadata.texts("age").tolist() == ["1.10", "7", None]
    assert metadata.texts("site").tolist() == ["gut", "skin, left", "a;b"]


def test_other_separators_are_said(tmp_path, caplog):
    with caplog.at_level("INFO"):
        read_metadata(write(tmp_path, separated(";"), "m.csv"))
    assert "m.csv: values are read as separated by semicolons; a decimal comma makes no number" in caplog.text


SEPARATORS = {
    "semicolons in a name": ("sample-id,diet,taxa;a;b;c\nx,gut,1\n", ["diet", "taxa;a;b;c"]),
    "commas in names": ("sample-id;weight (kg, dry);height (cm, shoes)\nx;1;2\n", ["weight (kg, dry)", "height (cm, shoes)"]),
    "no name for row names": ('"a, b","c"\n"x",1,2\n', ["a, b", "c"]),
    "a tab in quotes": ('id,"a\tb"\nx,2\n', ["a\tb"]),
}


@pytest.mark.parametrize(("content", "columns"), SEPARATORS.values(), ids=SEPARATORS.keys())
def test_the_first_comma_or_semicolon_separates(tmp_path, content, columns):
    assert read_metadata(write(tmp_path, content)).typed.columns.tolist() == columns


CHOSEN = {
    "plain": "S1\nS2\n# S3\n\n",
    "plain, quoted": '"S1"\n"S2"\n',
    "plain, more columns": "S1\tgut\nS2\tskin\n",
    "sample_id": "sample_id\nS1\nS2\n",
    "run table": "Run,site\nS1,gut\nS2,skin\n",
    "commas, quoted": '# made by hand\n"sample-id","site"\n"S1","a, b"\n"S2","c"\n',
    "semicolons, sep=": "sep=;\nsample-id;site\nS1;a\nS2;b\n",
    "UTF-16": "id\nS1\nS2\n".encode("utf-16"),
    "artifact": qza_bytes(TSV.replace("S3\t\ta;b\n", ""), "ImmutableMetadata", "metadata.tsv"),
}


@pytest.mark.parametrize("content", CHOSEN.values(), ids=CHOSEN.keys())
def test_chosen_samples_are_read_as_ids_of_metadata_are(tmp_path, content):
    assert read_sample_ids(write(tmp_path, content)) == ["S1", "S2"]


def archive_of(semantic_type, *members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("4b1c/metadata.yaml", f"uuid: 4b1c\ntype: {semantic_type}\n")
        for member in members:
            archive.writestr(f"4b1c/data/{member}", TSV)
    return file.getvalue()


def workbook():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return file.getvalue()


OTHERS = {
    "no metadata": (archive_of("Visualization", "index.html"), r"of type Visualization, which holds no metadata of samples"),
    "which one": (archive_of("SampleData[A]", "a.tsv", "b.tsv"), "holds no metadata of samples"),
    "of features": (archive_of("FeatureData[Taxonomy]", "taxonomy.tsv"), r"type FeatureData\[Taxonomy\], which holds no metadata"),
    "workbook": (workbook(), "Excel workbook"),
    "zip": (b"PK\x03\x04" + bytes(30), "not a QIIME 2 artifact, or a broken one"),
    "cut": (qza_bytes(TSV, "ImmutableMetadata", "metadata.tsv")[:-9], "not a QIIME 2 artifact, or a broken one"),
    "a comma too many": (
        "id,a,b\nx,1,gut, left\n",
        r"line 2: has 4 values, and there are 3 columns \(the last is 'b'\): 'left' is beyond",
    ),
    "no name of the column of IDs": ("age,site\n1,gut\n", "line 1: the first column is called 'age'"),
}


@pytest.mark.parametrize(("content", "said"), OTHERS.values(), ids=OTHERS.keys())
def test_what_holds_no_metadata_is_refused_in_one_line(tmp_path, content, said):
    with pytest.raises(InputError, match=said) as caught:
        read_metadata(write(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_several_files_are_put_together(tmp_path, caplog):
    first = write(tmp_path, TSV, "a.tsv")
    second = write(tmp_path, "Run,bmi\nS3,20.50\nS9,1\nS1,3\n", "b.csv")
    third = write(tmp_path, "id\tplot\n#q2:types\tcategorical\nS1\t01\nS3\t1\n", "c.tsv")
    metadata = read_metadata(first, second, third)
    assert (metadata.typed.index.tolist(), metadata.typed.index.name) == (["S1", "S3"], "sample-id")
    assert metadata.typed.columns.tolist() == metadata.written.columns.tolist() == ["age", "site", "bmi", "plot"]
    assert metadata.typed["bmi"].tolist() == [3, 20.5]
    assert [metadata.texts(column).tolist() for column in ("bmi", "plot", "age")] == [["3", "20.50"], ["01", "1"], ["1.10", None]]
    assert metadata.types == {"plot": "categorical"}
    assert "b.csv: 1 of 3 samples is not in all metadata files, and counted as without metadata: S9" in caplog.text


def test_several_files_that_do_not_go_together_are_refused(tmp_path):
    first = write(tmp_path, TSV, "a.tsv")
    with pytest.raises(InputError, match=r"b.tsv: the column site is in .*a.tsv, too; rename or remove it"):
        read_metadata(first, write(tmp_path, "id\tsite\nS1\tgut\n", "b.tsv"))
    with pytest.raises(InputError, match=r"no sample is in all of the metadata files: .*a.tsv has S1, S2, S3; .*b.tsv has S4"):
        read_metadata(first, write(tmp_path, "id\tplot\nS4\tgut\n", "b.tsv"))


def test_words_of_missing_values_are_missing_in_every_column(tmp_path, caplog):
    path = write(tmp_path, "id\tage\tsite\nS1\tNA\tgut\nS2\t7\tn a\nS3\t8\tUnknown\nS4\t-9\tNA1\n")
    assert read_metadata(path).typed["age"].dtype == object
    with caplog.at_level("INFO"):
        metadata = read_metadata(path, missing_values=("NA,unknown", "-9", "foo"))
    np.testing.assert_array_equal(metadata.typed["age"], [np.nan, 7, 8, np.nan])
    assert metadata.texts("site").tolist() == ["gut", None, None, "NA1"]
    assert "values taken as missing, as `missing_values` says: 'NA' 2, 'unknown' 1, '-9' 1" in caplog.text
    assert "`missing_values`: no value of the metadata is 'foo'" in caplog.text


def test_text_follows_numbers_that_were_put_in_their_place(tmp_path):
    metadata = read_metadata(write(tmp_path, TSV))
    metadata.typed["age"] = [5.0, 7, np.nan]
    assert metadata.texts("age").tolist() == ["5", "7", None]
    assert metadata.of(["S3", "S1"]).texts("site").tolist() == ["a;b", "gut"]
    assert pd.isna(metadata.written.loc["S3", "age"])


def test_a_column_that_is_declared_numeric_is_text_as_people_write_numbers(tmp_path):
    declared = read_metadata(write(tmp_path, "id\ta\tb\n#q2:types\tnumeric\t\nx\t1.10\t1.10\ny\t006\t006\n"))
    assert [declared.texts(column).tolist() for column in "ab"] == [["1.1", "6"], ["1.10", "006"]]


LONG = ["18446744073709551002", "18446744073709551003"]


@pytest.mark.parametrize("numbers", [LONG, ["99999999999999999999999", "-5"], ["9007199254740993", "9007199254740992"]])
def test_whole_numbers_that_float_cannot_tell_apart_are_text(tmp_path, numbers, caplog):
    first, second = numbers
    with caplog.at_level("INFO"):
        metadata = read_metadata(write(tmp_path, f"id\tage\tbc\n#q2:types\tnumeric\na\t1\t{first}\nb\t2\t{second}\nc\t\tmissing\n"))
    assert "columns of whole numbers too long to be told apart as numbers, read as text: bc" in caplog.text
    assert metadata.typed["bc"].tolist()[:2] == metadata.texts("bc").tolist()[:2] == numbers
    assert (metadata.typed["age"].dtype, metadata.types) == (float, {"age": "numeric"})


def test_long_whole_numbers_are_rounded_where_they_are_measured(tmp_path):
    text = f"id\ta\tb\n#q2:types\tnumeric\t\nx\t{LONG[0]}\t1.5\ny\t2\t{LONG[1]}\nz\tmissing\t\n"
    typed = read_metadata(write(tmp_path, text)).typed
    np.testing.assert_array_equal(typed.to_numpy(), [[2.0**64, 1.5], [2, 2.0**64], [np.nan, np.nan]])
