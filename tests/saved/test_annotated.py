"""Predictions and embeddings as AnnData: read by AAM again, and by anndata where it is installed."""

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import aam as library
from aam.data.metadata import read_metadata
from aam.data.table import FeatureTable, read_table
from aam.saved.annotated import write_annotated
from aam.study.study import Study
from tests.support.annotated import needs_anndata, run_anndata

IDS, ASVS = ("2538.10", "s b", "sé"), ("ACGT", "CCGT", "GGGT", "TTTT")
COUNTS = np.array([[3, 0, 0, 2**24 + 1], [0, 2, 0, 5], [1, 0, 0, 0]])
EMBEDDINGS = np.arange(6, dtype=np.float32).reshape(3, 2)
METADATA = pd.DataFrame({"age": [1.5, np.nan, 7.0], "body/site": ["gut", None, "1.10"], "study": ["a", "a", "b"]}, index=IDS)
COLUMNS = {
    "prediction": np.array([1.0, 2.0, 3.0]),
    "out_of_distribution": np.array([True, False, False]),
    "reads": np.array([1, 2, 3]),
    "reason": np.array(["few reads", "", ""], dtype=object),
    "true": np.array(["x", np.nan, "y"], dtype=object),
}
OBS = ["age", "body_site", "study", "aam_prediction", "aam_out_of_distribution", "aam_reads", "aam_reason", "aam_true"]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    table = FeatureTable(sparse.csr_array(COUNTS), IDS, ASVS)
    study = Study(table, ASVS, np.zeros((4, 5), np.uint8), METADATA)
    path = tmp_path_factory.mktemp("annotated") / "x.h5ad"
    distances = np.abs(np.subtract.outer(np.arange(3.0), np.arange(3.0)))
    write_annotated(
        path,
        study,
        study.full_metadata,
        columns=COLUMNS,
        embeddings=EMBEDDINGS,
        distances=distances,
        of_asvs=np.ones((4, 2), np.float32),
        facts={"model": "m"},
    )
    return path


def test_aam_reads_what_it_wrote(path):
    table, metadata = read_table(path), read_metadata(path)
    assert (table.sample_ids, table.feature_ids) == (IDS, ASVS)
    np.testing.assert_array_equal(table.counts.toarray(), COUNTS)
    assert list(metadata.typed.columns) == OBS
    np.testing.assert_array_equal(metadata.typed["age"], METADATA["age"])
    assert metadata.texts("body_site").tolist() == ["gut", None, "1.10"]
    assert metadata.texts("aam_true").tolist() == ["x", None, "y"]
    assert metadata.texts("aam_out_of_distribution").tolist() == ["True", "False", "False"]
    assert library.read_study(path).sequences == ASVS


def test_an_array_in_another_order_is_written_as_it_reads(tmp_path, path):
    table = FeatureTable(sparse.csr_array(COUNTS), IDS, ASVS)
    study = Study(table, None, np.zeros((4, 1), np.uint8))
    turned = np.asfortranarray(np.arange(12.0).reshape(3, 4))[:, ::2]
    write_annotated(tmp_path / "t.h5ad", study, None, embeddings=turned)
    with h5py.File(tmp_path / "t.h5ad") as handle:
        np.testing.assert_array_equal(handle["obsm/X_aam"], [[0, 2], [4, 6], [8, 10]])
        assert list(handle["var"]) == ["_index"]
        assert list(handle["obsp"]) == []


_READ = """
import sys, json, anndata as ad
a = ad.read_h5ad(sys.argv[1])
told = {
    "obs": list(a.obs.columns), "kinds": [str(kind) for kind in a.obs.dtypes], "ids": [list(a.obs_names), list(a.var_names)],
    "counts": a.X.toarray().tolist(), "site": [x if isinstance(x, str) else None for x in a.obs["body_site"]],
    "embeddings": a.obsm["X_aam"].tolist(), "distances": a.obsp["aam_distances"].tolist(), "asvs": a.varm["X_aam"].shape,
    "uns": {name: str(value) for name, value in a.uns["aam"].items()}, "sequences": list(a.var["sequence"]),
}
a[:2].copy().write_h5ad(sys.argv[2])
print(json.dumps(told))
"""


@needs_anndata
def test_anndata_reads_it_and_writes_it_anew(path, tmp_path):
    told = run_anndata(_READ, path, tmp_path / "again.h5ad")
    assert told["obs"] == OBS
    assert told["kinds"] == ["float64", "category", "category", "float64", "bool", "int64", "category", "category"]
    assert told["ids"] == [list(IDS), list(ASVS)]
    assert told["counts"] == COUNTS.tolist()
    assert told["site"] == ["gut", None, "1.10"]
    assert told["embeddings"] == EMBEDDINGS.tolist()
    assert told["distances"][0] == [0.0, 1.0, 2.0]
    assert told["asvs"] == [4, 2]
    assert told["uns"] == {"model": "m", "version": library.__version__}
    assert told["sequences"] == list(ASVS)
    np.testing.assert_array_equal(read_table(tmp_path / "again.h5ad").counts.toarray(), COUNTS[:2])
