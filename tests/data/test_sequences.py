import hashlib
import logging
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from aam.data.sequences import AMBIGUOUS, Nucleotide, have_no_sequences, read_sequences, tokenize
from aam.data.table import FeatureTable, read_table
from aam.errors import InputError, shown
from tests.support.formats import qza_bytes


def table_of(*feature_ids):
    return FeatureTable(sparse.csr_array(np.ones((1, len(feature_ids)), dtype=np.int64)), ("s",), feature_ids)


def md5(text):
    return hashlib.md5(text.encode()).hexdigest()


def fasta(tmp_path, content):
    path = tmp_path / "rep_seqs"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def spell(tokens):
    """Letters of tokens, N for MASK and nothing for PAD."""
    letters = {Nucleotide.A: "A", Nucleotide.C: "C", Nucleotide.G: "G", Nucleotide.T: "T", Nucleotide.MASK: "N", Nucleotide.PAD: ""}
    return tokens.tobytes().decode("latin-1").translate({int(token): letter for token, letter in letters.items()})


def test_ids_that_are_sequences_are_folded():
    assert read_sequences(table_of("ACGT", "acgu", "RYswkmbdhvn")) == ("ACGT", "ACGT", "RYSWKMBDHVN")


@pytest.mark.parametrize("wrap", [lambda text: text, lambda text: qza_bytes(text, "FeatureData[Sequence]", "dna-sequences.fasta")])
def test_rep_seqs_are_matched_by_id_in_table_order(tmp_path, wrap):
    content = ">b extra words\r\nAC\r\nGT\r\n\r\n>unused\r\n--\r\n>a\r\nuuuu\r\n"
    assert read_sequences(table_of("a", "b"), fasta(tmp_path, wrap(content))) == ("TTTT", "ACGT")


def test_md5_ids_are_checked_as_written_and_in_upper_case(tmp_path):
    lower, upper = md5("acgu"), md5("GGCC").upper()
    path = fasta(tmp_path, f">{lower}\nacgu\n>{upper}\nggcc\n>{md5('TTTT')}\nTTTA\n")
    assert read_sequences(table_of(lower, upper), path) == ("ACGT", "GGCC")
    with pytest.raises(InputError, match=f"feature {md5('TTTT')} looks like an MD5 but is not that of its sequence"):
        read_sequences(table_of(lower, md5("TTTT")), path)


@pytest.mark.parametrize("feature_id", [md5("ACGT"), "ASV_1", "AC-GT", "AC.GT", "", "ACGT ", "ACG\u017f"])
def test_ids_that_are_no_sequences_ask_for_rep_seqs(feature_id):
    with pytest.raises(InputError, match=re.escape(f"feature {shown(feature_id)}: ") + ".*`rep_seqs`"):
        read_sequences(table_of("ACGT", feature_id))


@pytest.mark.parametrize(
    ("feature_ids", "names"),
    [
        (("Blautia", "Dorea", "NA"), True),
        (("Blautia", "N", "Dorea", "GAC"), True),
        (("Blautia", "Dorea", "ACGT" * 5), False),
        (("Blautia", "Dorea", md5("ACGT")), False),
        (("ACGT", "TTGA", "ASV_1"), False),
    ],
)
def test_names_with_letters_of_nucleotides_are_no_sequences(feature_ids, names):
    assert have_no_sequences(feature_ids) is names


BAD = {
    "missing": (">a\nAC\n", "lacks the sequences of 2 of 3 features: b, c; it has a"),
    "duplicate": (">a\nAC\n>b\nA\n>c\nA\n>a\nAC\n", "feature a is there twice"),
    "gap": (">a\nAC\n>b\nA-C\n>c\nA\n", "feature b: '-' at position 2 is not a nucleotide letter; correct its sequence"),
    "protein": (">a\nAC\n>b\nAC\n>c\nACE\n", "feature c: 'E' at position 3"),
    "empty": (">a\nAC\n>b\n>c\nAC\n", "feature b: empty sequence"),
    "no fasta": ("a\tAC\n", ": not FASTA"),
    "a tree": ("(a:1,b:2);", r"a tree \(newick\), not FASTA"),
    "reads": ("@r1\nACGT\n+\nIIII\n", r"reads \(FASTQ\), not FASTA"),
    "a picture": (b"\x89PNG\r\n\x1a\n", r"a picture \(PNG\), neither FASTA nor"),
    "nothing": ("", "not FASTA"),
    "binary": (b"\xff\xfe\x00", "neither FASTA nor"),
    "table artifact": (qza_bytes(b"x"), r"artifact of type FeatureTable\[Frequency\], where FeatureData\[Sequence"),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD.keys())
def test_bad_rep_seqs_are_refused_in_one_line(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as caught:
        read_sequences(table_of("a", "b", "c"), fasta(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_real_sequences(real_table):
    table = read_table(real_table / "table.biom")
    if (real_table / "seqs.fasta").exists():
        sequences = read_sequences(table, real_table / "seqs.fasta")
        are_hashes = real_table.name == "ecam"
        assert table.feature_ids == (tuple(map(md5, sequences)) if are_hashes else sequences)
    else:
        sequences = read_sequences(table)
        assert sequences == table.feature_ids
    assert len(set(sequences)) == len(sequences)
    tokens = tokenize(sequences, table.feature_ids, 150)
    assert [spell(row[1:]) for row in tokens] == list(sequences)


@given(st.lists(st.text(alphabet="ACGT" + AMBIGUOUS, min_size=1, max_size=12), min_size=1, max_size=6), st.integers(1, 14))
def test_tokens_spell_the_sequences(sequences, max_bp):
    tokens = tokenize(sequences, sequences, max_bp)
    assert tokens.dtype == np.uint8
    assert tokens.shape == (len(sequences), 1 + min(max_bp, max(map(len, sequences))))
    assert (tokens[:, 0] == Nucleotide.START).all()
    masked = str.maketrans(AMBIGUOUS, "N" * len(AMBIGUOUS))
    assert [spell(row[1:]) for row in tokens] == [sequence[:max_bp].translate(masked) for sequence in sequences]


@pytest.mark.parametrize(
    ("sequences", "warnings"),
    [
        (("ACG", "AC", "TT"), []),
        (("ACGT", "ACC", "TT"), ["1 of 3 ASVs are longer than `max_bp=3` and were cut; none became equal to another"]),
        (("ACGT", "ACGG", "TT"), ["2 of 3 ASVs are longer than `max_bp=3` and were cut; 2 became equal to another: a, b"]),
        (("ACGT", "ACGT", "TT"), ["2 of 3 ASVs are longer than `max_bp=3` and were cut; none became equal to another"]),
    ],
)
def test_one_warning_says_how_many_were_cut_and_merged(caplog, sequences, warnings):
    with caplog.at_level(logging.WARNING):
        tokenize(sequences, ("a", "b", "c"), 3)
    assert [record.getMessage() for record in caplog.records] == warnings
