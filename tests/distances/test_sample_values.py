"""A number of each sample as a file, by ID."""

import csv
import zipfile

import numpy as np
import pandas as pd
import pytest

from aam.data.metadata import read_metadata
from aam.distances.sample_values import read_sample_values, write_sample_values
from aam.errors import InputError

IDS = ["2538.10", "s b", "s'c", "sé"]
VALUES = np.array([3.0, 0.1 + 0.2, 1e-9, 12345678.25])


def test_what_is_written_is_read_in_any_order(tmp_path):
    path = tmp_path / "values.tsv"
    write_sample_values(path, "faith_pd", VALUES, IDS)
    assert path.read_text(encoding="utf-8").splitlines()[:2] == ["sample-id\tfaith_pd", "2538.10\t3"]
    np.testing.assert_array_equal(read_sample_values(path, IDS), VALUES)
    np.testing.assert_array_equal(read_sample_values(path, ["s'c", "2538.10"]), VALUES[[2, 0]])


def as_qiime_reads(path):
    """What AlphaDiversityFormat of q2-types checks, and its transformer to a series."""
    with path.open(encoding="utf-8") as handle:
        header, *rows = csv.reader(handle, delimiter="\t")
    assert len(header) >= 2
    assert rows
    assert all(len(row) == len(header) for row in rows)
    frame = pd.read_csv(path, sep="\t", header=0, dtype=object)
    frame = frame.set_index(frame.columns[0])
    return frame[frame.columns].apply(pd.to_numeric).iloc[:, 0]


def test_qiime_2_reads_it_as_alpha_diversity_and_as_metadata(tmp_path):
    path = tmp_path / "values.tsv"
    write_sample_values(path, "shannon", VALUES, IDS)
    series = as_qiime_reads(path)
    assert (series.name, list(series.index)) == ("shannon", IDS)
    np.testing.assert_array_equal(series, VALUES)
    assert read_metadata(path).typed["shannon"].tolist() == VALUES.tolist()


def test_what_qiime_2_and_pandas_write_is_read(tmp_path):
    """The first cell of the header is empty; an artifact holds such a file."""
    path = tmp_path / "alpha.tsv"
    pd.Series(VALUES, index=IDS, name="faith_pd").to_csv(path, sep="\t", header=True)
    np.testing.assert_array_equal(read_sample_values(path, IDS), VALUES)
    root = "0b8b47bd-f2f8-4029-923c-0e37a68340c3"
    with zipfile.ZipFile(tmp_path / "alpha.qza", "w") as archive:
        archive.writestr(f"{root}/VERSION", "QIIME 2\narchive: 5\nframework: 2022.2.0\n")
        archive.writestr(
            f"{root}/metadata.yaml", f"uuid: {root}\ntype: SampleData[AlphaDiversity]\nformat: AlphaDiversityDirectoryFormat\n"
        )
        archive.write(path, f"{root}/data/alpha-diversity.tsv")
    np.testing.assert_array_equal(read_sample_values(tmp_path / "alpha.qza", IDS), VALUES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id\tv\na\t1\n", r"2 of 3 samples have no value there: b, C.1; remove them$"),
        ("id\tv\na\t1\nB\t2\nC.1\t3\n", r"1 of 3 samples has no value there: b \(.*B"),
        ("id\tv\na\t1\nb\tmuch\nC.1\t3\n", r"line 3, column 'v', sample b: 'much' is no finite number"),
        ("id\tv\na\t1\nb\tinf\nC.1\t3\n", "'inf' is no finite number"),
        ("id\tv\na\t1\nb\t\nC.1\t3\n", "sample b: '' is no finite number"),
        ("id\tv\na\t1\nb\t2\na\t1\nC.1\t3\n", "duplicate sample ids: a"),
        ("id\tv\tw\na\t1\t2\n", "has 3 columns; it must have two"),
        ("id\na\n", "has 1 columns|should name the columns|it must have two"),
        ("", "holds no metadata|empty"),
    ],
)
def test_what_is_no_such_file_is_one_line(tmp_path, text, said):
    path = tmp_path / "values.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        read_sample_values(path, ["a", "b", "C.1"])
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"no\.tsv"):
        read_sample_values(tmp_path / "no.tsv", IDS)
