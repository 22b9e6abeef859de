"""AnnData files as tables, metadata and sequences: by hand, and as anndata writes them where it is installed."""

import h5py
import numpy as np
import pytest

import aam as library
from aam.data.metadata import read_metadata
from aam.data.sequences import read_sequences
from aam.data.table import read_table
from aam.errors import InputError
from tests.support.annotated import COUNTS, FEATURES, SAMPLES, h5ad_bytes, matrix, needs_anndata, run_anndata


def put(folder, content, name="x.h5ad"):
    (folder / name).write_bytes(content)
    return folder / name


@pytest.mark.parametrize("kind", ["csr", "csc", "dense"])
def test_counts_are_read(tmp_path, kind):
    table = read_table(put(tmp_path, h5ad_bytes(kind), "table.other"))
    assert (table.sample_ids, table.feature_ids) == (tuple(SAMPLES), tuple(FEATURES))
    np.testing.assert_array_equal(table.counts.toarray(), COUNTS)


def test_the_layer_of_counts_comes_before_x_that_is_normalised(tmp_path, caplog):
    shares = COUNTS / COUNTS.sum(axis=1, keepdims=True)
    with pytest.raises(InputError, match=r"sample 2538.10, feature f1: 0.3 is not a whole number: AAM needs counts"):
        read_table(put(tmp_path, h5ad_bytes(values=shares)))
    caplog.set_level("INFO")
    content = h5ad_bytes(values=shares, change=lambda handle: matrix(handle, "layers/counts", COUNTS))
    np.testing.assert_array_equal(read_table(put(tmp_path, content)).counts.toarray(), COUNTS)
    assert 'counts are those of layers["counts"]' in caplog.text


def test_annotations_are_metadata_of_their_kinds(tmp_path):
    metadata = read_metadata(put(tmp_path, h5ad_bytes()))
    assert list(metadata.typed.index) == SAMPLES
    np.testing.assert_array_equal(metadata.typed["age"], [1.5, np.nan, 7])
    assert metadata.typed["whole"].tolist() == [6.0, 7.0, 8.0]
    np.testing.assert_array_equal(metadata.typed["n"], [1, np.nan, 3])
    assert metadata.texts("site").tolist() == ["1.10", None, "gut"]
    assert metadata.texts("plate").tolist() == ["1", "2", "2"]
    assert metadata.types["plate"] == "categorical"
    assert metadata.texts("flag").tolist() == ["True", "False", "True"]
    assert metadata.texts("told").tolist() == [None, "False", "False"]
    assert metadata.texts("note").tolist() == ["a", None, "b\tc"]
    assert metadata.texts("name").tolist() == ["x", None, "z"]


@pytest.mark.parametrize("column", ["sequence", "Sequence"])
def test_sequences_are_those_of_var(tmp_path, column):
    path = put(tmp_path, h5ad_bytes(sequence=column))
    wanted = ("AAAA", "AAAC", "AAAT", "AAAG")
    assert read_sequences(read_table(path), path) == wanted
    # Of a table by itself, too.
    study = library.read_study(path, metadata=path)
    assert (study.sequences, study.metadata["whole"].tolist()) == (wanted, [6.0, 7.0, 8.0])


def test_a_table_without_sequences_is_known_by_its_ids_or_refused(tmp_path):
    path = put(tmp_path, h5ad_bytes(sequence=None))
    with pytest.raises(InputError, match="var has no column `sequence`"):
        read_sequences(read_table(path), path)
    with pytest.raises(InputError, match="its id is not a sequence"):
        library.read_study(path)


def old_codes(handle):
    handle["obs"].attrs["column-order"] = ["age", "old"]
    old = handle["obs"].create_dataset("old", data=np.array([0, 1, 0], np.int8))
    old.attrs["categories"] = "elsewhere"


def test_columns_in_another_encoding_are_left_out(tmp_path, caplog):
    metadata = read_metadata(put(tmp_path, h5ad_bytes(change=old_codes)))
    assert list(metadata.typed.columns) == ["age"]
    assert "columns of obs that AAM cannot read are left out: old; anndata 0.8 or newer writes them anew" in caplog.text


def replaced(name, values):
    def change(handle):
        del handle[name]
        handle[name] = np.array(values)

    return change


def compound(handle):
    del handle["obs"]
    handle["obs"] = np.zeros(3, dtype=[("index", "S4"), ("age", "f4")])


def elsewhere(handle):
    del handle["X/data"]
    handle["X/data"] = h5py.ExternalLink("other.h5", "/data")


BROKEN = {
    "another shape": (
        lambda handle: handle["X"].attrs.modify("shape", [3, 5]),
        r"X is \(3, 5\), for 3 samples \(obs\) and 4 features",
    ),
    "an array of another shape": (replaced("X", np.zeros((2, 4))), r"X is \(2, 4\), for 3 samples"),
    "columns beyond": (replaced("X/indices", [0, 3, 1, 9, 0]), "broken AnnData file"),
    "parts of other sizes": (replaced("X/indptr", [0, 2, 4, 9]), "broken AnnData file"),
    "no places": (lambda handle: handle.pop("X/indptr"), "broken AnnData file"),
    "another matrix": (
        lambda handle: handle["X"].attrs.modify("encoding-type", "coo"),
        "X is neither an array nor a sparse matrix",
    ),
    "no names": (lambda handle: handle.pop("obs/names"), "broken AnnData file"),
    "old": (compound, "written by anndata before 0.7"),
    "in another file": (elsewhere, "broken AnnData file|lies in another file"),
}


@pytest.mark.parametrize("change", BROKEN)
def test_what_is_broken_is_one_line(tmp_path, change):
    (tmp_path / "other.h5").write_bytes(b"")
    with pytest.raises(InputError, match=BROKEN[change][1]) as caught:
        read_table(put(tmp_path, h5ad_bytes(change=BROKEN[change][0])))
    assert "\n" not in str(caught.value)


def test_codes_without_a_level_are_told(tmp_path):
    with pytest.raises(InputError, match="obs/site has codes without a category"):
        read_metadata(put(tmp_path, h5ad_bytes(change=replaced("obs/site/codes", [0, 1, 2]))))


def test_half_a_file_is_told(tmp_path):
    content = h5ad_bytes()
    with pytest.raises(InputError, match="broken"):
        read_table(put(tmp_path, content[: len(content) // 2]))


_WRITE = """
import sys, anndata as ad, numpy as np, pandas as pd, scipy.sparse as sp
counts = np.array([[3, 0, 0, 7], [0, 2, 0, 5], [1, 0, 0, 0]], dtype=np.float32)
obs = pd.DataFrame({
    "age": [1.5, np.nan, 7], "whole": [6, 7, 8], "flag": [True, False, True], "site": pd.Categorical(["1.10", None, "gut"]),
    "note": ["a", "", "c"], "n": pd.array([1, None, 3], dtype="Int64"), "told": pd.array([None, False, False], dtype="boolean"),
}, index=["2538.10", "s b", "10317.000003639"])
var = pd.DataFrame({"sequence": ["AAAA", "AAAC", "AAAT", "AAAG"]}, index=["f1", "f2", "f3", "f4"])
for kind in (sp.csr_matrix, sp.csc_matrix, np.array):
    ad.AnnData(kind(counts), obs=obs, var=var).write_h5ad(f"{sys.argv[1]}/{kind.__name__}.h5ad")
print("[]")
"""


@needs_anndata
def test_what_anndata_writes_is_read(tmp_path):
    run_anndata(_WRITE, tmp_path)
    paths = sorted(tmp_path.glob("*.h5ad"))
    assert len(paths) == 3
    for path in paths:
        table, metadata = read_table(path), read_metadata(path)
        np.testing.assert_array_equal(table.counts.toarray(), COUNTS)
        assert (table.sample_ids, table.feature_ids) == (tuple(SAMPLES), tuple(FEATURES))
        assert read_sequences(table, path) == ("AAAA", "AAAC", "AAAT", "AAAG")
        assert metadata.texts("site").tolist() == ["1.10", None, "gut"]
        np.testing.assert_array_equal(metadata.typed["n"], [1, np.nan, 3])
        assert metadata.texts("told").tolist() == [None, "False", "False"]
        assert metadata.texts("note").tolist() == ["a", None, "c"]
