"""One table in every format that is read."""

import io
import json
import zipfile

import biom
import h5py
import numpy as np
from scipy import sparse

# Features x samples, as BIOM has it: AAAT has no reads at all.
VALUES = np.array([[3, 0, 1], [0, 2, 0], [0, 0, 0], [7, 5, 0]], dtype=float)
FEATURES = ["AAAA", "AAAC", "AAAT", "AAAG"]
SAMPLES = ["2538.1001130", "s.2", "10317.000003639"]


def biom_table(values=VALUES, features=FEATURES, samples=SAMPLES):
    return biom.Table(sparse.csr_matrix(values), features, samples)


def hdf5_bytes(table):
    content = io.BytesIO()
    with h5py.File(content, "w") as handle:
        table.to_hdf5(handle, "test")
    return content.getvalue()


def qza_bytes(content, semantic_type="FeatureTable[Frequency]", member="feature-table.biom"):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("4b1c/metadata.yaml", f"uuid: 4b1c\ntype: {semantic_type}\nformat: x\n")
        zipped.writestr(f"4b1c/data/{member}", content)
        zipped.writestr("4b1c/provenance/metadata.yaml", "type: Other\n")
    return archive.getvalue()


def json_document(**changes):
    return {**json.loads(biom_table().to_json("test")), **changes}


def tsv_text(values=VALUES, features=FEATURES, samples=SAMPLES):
    rows = ["\t".join([name, *map(str, row)]) for name, row in zip(features, values, strict=True)]
    return "\n".join(["# Constructed from biom file", "\t".join(["#OTU ID", *samples]), *rows]) + "\n"


FORMATS = {
    "hdf5": hdf5_bytes(biom_table()),
    "json": json.dumps(json_document()),
    "json dense, indented": "\n" + json.dumps(json_document(matrix_type="dense", data=VALUES.tolist()), indent=2),
    "qza": qza_bytes(hdf5_bytes(biom_table())),
    "tsv of biom": biom_table().to_tsv() + "\n",
    "tsv": tsv_text(),
    "tsv windows, BOM, no comment": "\ufeff" + tsv_text().partition("\n")[2].replace("\n", "\r\n"),
    "tsv with taxonomy": tsv_text(
        np.hstack([VALUES.astype(object), np.full((4, 1), "k__Bacteria; p__x")]), samples=[*SAMPLES, "taxonomy"]
    ),
}
