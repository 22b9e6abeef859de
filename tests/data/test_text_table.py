"""Odd but valid tables are read as the sound one, others are one line; see tests/odd_files."""

import logging
import re
import time

import numpy as np
import pytest

from aam.data.sequences import read_sequences
from aam.data.table import read_table
from aam.data.text_table import read_text
from aam.errors import InputError
from tests.odd_files import ASVS, COUNTS, SAMPLES, SEQUENCES, community
from tests.odd_files.tables import TABLES, by_features, by_samples

TAXA_OF_EACH = [f"k__A{number}" for number in range(20)]
READ = [odd for odd in TABLES if odd.outcome == "read"]
REFUSED = [odd for odd in TABLES if odd.outcome != "read"]


@pytest.mark.parametrize("odd", READ, ids=lambda odd: odd.name)
def test_an_odd_table_is_read_as_the_sound_one(tmp_path, odd):
    paths = community(tmp_path) | odd.write(tmp_path)
    table = read_table(paths["table"])
    assert table.sample_ids == tuple(SAMPLES)
    np.testing.assert_array_equal(table.counts.toarray(), COUNTS)
    assert read_sequences(table, paths["rep_seqs"]) == tuple(SEQUENCES)


@pytest.mark.parametrize("odd", REFUSED, ids=lambda odd: odd.name)
def test_what_is_no_table_is_said_in_one_line(tmp_path, odd):
    path = odd.write(tmp_path)["table"]
    with pytest.raises(InputError, match=odd.outcome) as caught:
        read_table(path)
    assert str(caught.value).startswith(str(path))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (by_samples(None), ["table.txt: its rows are samples: 30 samples, 20 features"]),
        (
            by_features("Feature ID").replace("\n", "\tx\n").replace("S30\tx", "S30\tTaxon"),
            ["table.txt: columns without counts are left out: Taxon"],
        ),
        (by_features("#OTU ID"), []),
        (
            by_samples("#OTU ID", names=SEQUENCES),
            [
                "table.txt: its header begins with #OTU ID, but columns are named like features "
                f"({SEQUENCES[0][:40]}), and read as features",
                "table.txt: its rows are samples: 30 samples, 20 features",
            ],
        ),
        (
            by_features("sample-id", names=TAXA_OF_EACH),
            ["table.txt: its header begins with sample-id, but rows are named like features (k__A0), and read as features"],
        ),
        (
            by_features("#OTU ID").replace("S30", "size"),
            ["table.txt: column size is left out, as the size of each feature; if it is a sample, give it another name"],
        ),
        (
            by_features("#OTU ID").replace("S30", "Taxon").replace("S29", "lineage"),
            ["table.txt: columns of whole numbers are read as samples: lineage, Taxon; take out those that are none"],
        ),
    ],
    ids=["transposed", "annotations", "nothing", "sequences overrule", "taxa overrule", "sizes", "samples called like taxonomies"],
)
def test_what_is_done_is_said_once(tmp_path, caplog, text, said):
    path = tmp_path / "table.txt"
    path.write_text(text)
    with caplog.at_level(logging.INFO):
        read_table(path)
    assert [message.removeprefix(f"{tmp_path}/") for message in caplog.messages] == said


LONG = ["ACGT" * 10, "ACGA" * 10, "ACGG" * 10]
WHICH = {
    "sequences across, whatever the corner": ("#OTU ID", LONG, ["a", "b"], True),
    "sequences down, whatever the corner": ("sample-id", ["a", "b", "c"], LONG[:2], False),
    "taxa down, LEfSe's corner": ("SampleID", ["a", "b", "c"], ["k__Bacteria", "k__Archaea"], False),
    "taxa across, whatever the corner": ("#OTU ID", ["k__A", "k__B", "k__C"], ["a", "b"], True),
    "sequences across, taxa down": ("", LONG, ["k__A", "k__B"], True),
    "numbered samples, R's corner": ("X", ["101", "102", "103"], ["ASV_1", "ASV_2"], False),
    "numbered samples as rows, R's corner": ("X", ["ASV_1", "ASV_2", "ASV_3"], ["101", "102"], True),
    "numbered samples, no corner": ("", ["101", "102", "103"], ["ASV_1", "ASV_2"], False),
    "hashes across name samples under a corner of features": (
        "#OTU ID",
        ["0" * 32, "1" * 32, "2" * 32],
        ["Blautia", "Dorea"],
        False,
    ),
    "barcodes are no sequences": ("#OTU ID", ["ACGTACGTACGT", "ACGTACGTACGA", "ACGTACGTACGG"], ["Blautia", "Dorea"], False),
    "both look like features": ("OTU", ["ASV_1", "ASV_2", "ASV_3"], ["OTU1", "OTU2"], False),
    "neither": ("sample-id", ["x", "y", "z"], ["a", "b"], True),
    "neither, #": ("#NAME", ["x", "y", "z"], ["a", "b"], False),
}


@pytest.mark.parametrize(("corner", "columns", "rows", "transposed"), WHICH.values(), ids=WHICH.keys())
def test_whether_rows_are_samples(tmp_path, corner, columns, rows, transposed):
    lines = [[corner, *columns], *([name, "1", "0", str(number)] for number, name in enumerate(rows))]
    matrix, features, samples = read_text("\n".join(map("\t".join, lines)), tmp_path / "table.tsv")
    assert (list(features), list(samples)) == ((columns, rows) if transposed else (rows, columns))
    counts = np.array([[1, 0, 0], [1, 0, 1]])
    np.testing.assert_array_equal(matrix.toarray(), counts.T if transposed else counts)


def test_a_last_column_of_blanks_that_has_a_name_is_not_left_out(tmp_path):
    path = tmp_path / "table.tsv"
    path.write_text(re.sub(r"\t\d+$", "\t", by_features("#OTU ID"), flags=re.MULTILINE))
    with pytest.raises(InputError, match="sample S30, feature ASV_01: the cell is empty"):
        read_table(path)
    path.write_text(re.sub(r"\t\d+$", "\t", by_features(None), flags=re.MULTILINE))
    with pytest.raises(InputError, match="sample S30, feature ASV_01: the cell is empty"):
        read_table(path)


def test_many_empty_columns_and_rows_of_a_spreadsheet_cost_little(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(by_features("OTU", ",").replace("\n", "," * 16_000 + "\n") + ("," * 16_000 + "\n") * 100)
    start = time.process_time()
    np.testing.assert_array_equal(read_table(path).counts.toarray(), COUNTS)
    assert time.process_time() - start < 2


@pytest.mark.parametrize("separator", ["\t", ","])
def test_a_table_of_one_sample_or_one_feature(tmp_path, separator):
    path = tmp_path / "table"
    path.write_text("".join(separator.join(row) + "\n" for row in [["#OTU ID", "S1"], ["ASV_1", "3"], ["ASV_2", "4"]]))
    assert read_table(path).counts.toarray().tolist() == [[3, 4]]
    path.write_text("".join(separator.join(row) + "\n" for row in [['"S1"'], ['"ASV_1"', "3"], ['"ASV_2"', "4"]]))
    assert (read_table(path).sample_ids, read_table(path).counts.toarray().tolist()) == (("S1",), [[3, 4]])
    path.write_text("".join(separator.join(row) + "\n" for row in [["#OTU ID", "S1", "S2"], ["ASV_1", "3", "5"]]))
    assert read_table(path).counts.toarray().tolist() == [[3], [5]]


def test_a_sample_may_be_called_like_a_rank(tmp_path):
    path = tmp_path / "table.tsv"
    path.write_text("#OTU ID\tFamily\tOrder\nASV_1\t1\t2\n")
    assert read_table(path).sample_ids == ("Family", "Order")
    path.write_text("#OTU ID\tTaxon\tlineage\tConfidence\nASV_1\t1\t2\t0\nASV_2\t1\t2\t25\n")
    assert read_table(path).sample_ids == ("Taxon", "lineage", "Confidence")
    path.write_text("#OTU ID\tsize\nASV_1\t1\n")
    assert read_table(path).sample_ids == ("size",)


def test_a_feature_below_a_header_of_another_name_is_no_header(tmp_path):
    path = tmp_path / "table.tsv"
    path.write_text("#NAME\tS1\tS2\nTaxa\t1\t2\ngene\t3\t4\n")
    assert read_table(path).feature_ids == ("Taxa", "gene")
    path.write_text("# made by\tme\t2026\nOTU ID\t101\t102\nTaxa\t1\t2\ngene\t3\t4\n")
    assert (read_table(path).feature_ids, read_table(path).sample_ids) == (("Taxa", "gene"), ("101", "102"))


def test_a_column_of_taxa_in_front_is_left_out(tmp_path):
    path = tmp_path / "table.tsv"
    path.write_text("Feature ID\tTaxon\tConfidence\tS1\tS2\nASV_1\tk__A\t0.9\t1\t2\nASV_2\tk__B\t1\t3\t4\n")
    table = read_table(path)
    assert (table.sample_ids, table.counts.toarray().tolist()) == (("S1", "S2"), [[1, 3], [2, 4]])
    path.write_text("Feature ID\tTaxon\tConfidence\nASV_1\tk__A\t0.9\n")
    with pytest.raises(InputError, match="a taxonomy; not a feature table"):
        read_table(path)


def test_a_row_of_sums_is_refused_and_a_feature_called_total_is_not(tmp_path):
    path = tmp_path / "table.tsv"
    path.write_text(f"{by_features('OTU')}Total\t" + "\t".join(str(sum(reads)) for reads in COUNTS) + "\n")
    with pytest.raises(InputError, match="feature Total is the sum of all others; take it out"):
        read_table(path)
    path.write_text("#OTU ID\tS1\ttotal\nASV_1\t1\t1\nASV_2\t2\t2\n")
    with pytest.raises(InputError, match="sample total is the sum of all others"):
        read_table(path)
    path.write_text("#OTU ID\tS1\tS2\nASV_1\t1\t2\nTotal\t1\t2\n")
    with pytest.raises(InputError, match="feature Total is the sum of all others"):
        read_table(path)
    path.write_text("sample-id\tASV_1\tASV_2\tsize\nS1\t1\t2\t3\nS2\t0\t4\t4\n")
    with pytest.raises(InputError, match="feature size is the sum of all others"):
        read_table(path)
    path.write_text(f"{by_features('OTU')}Total\t" + "\t".join("5" for _ in COUNTS) + "\n")
    assert read_table(path).feature_ids[-1] == "Total"


def test_the_features_of_the_sound_table():
    assert len(ASVS) == len(SEQUENCES) == 20
    assert len(READ) >= 30
