import gzip
import io
import json
import logging
import subprocess
import sys
import zipfile

import biom
import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from aam.data.table import FeatureTable, drop_shallow, rarefy, read_table
from aam.errors import InputError
from tests.support.formats import FEATURES, FORMATS, SAMPLES, VALUES, biom_table, hdf5_bytes, json_document, qza_bytes, tsv_text


def write(tmp_path, content):
    path = tmp_path / "no_extension"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("content", FORMATS.values(), ids=FORMATS.keys())
def test_every_format_is_told_by_content_and_gives_the_same_table(tmp_path, content):
    table = read_table(write(tmp_path, content))
    assert table.sample_ids == tuple(SAMPLES)
    assert table.feature_ids == tuple(FEATURES)
    assert table.counts.dtype == np.int64
    assert table.counts.has_sorted_indices
    assert table.counts.nnz == 5
    np.testing.assert_array_equal(table.counts.toarray(), VALUES.T)
    np.testing.assert_array_equal(table.depths, VALUES.sum(axis=0))


def test_real_tables_equal_what_biom_reads(real_table):
    table, expected = read_table(real_table / "table.biom"), biom.load_table(str(real_table / "table.biom"))
    assert table.sample_ids == tuple(expected.ids())
    assert table.feature_ids == tuple(expected.ids("observation"))
    assert (table.counts != sparse.csr_array(expected.matrix_data.T)).nnz == 0
    np.testing.assert_array_equal(table.depths, expected.sum("sample"))


def test_stored_zeros_are_dropped(tmp_path):
    path = write(tmp_path, FORMATS["hdf5"])
    with h5py.File(path, "r+") as handle:
        handle["sample/matrix/data"][0] = 0
    assert (read_table(path).counts.data > 0).all()


def changed(value):
    values = VALUES.copy()
    values[1, 1] = value
    return values


def changed_hdf5(change):
    content = io.BytesIO(FORMATS["hdf5"])
    with h5py.File(content, "r+") as handle:
        change(handle)
    return content.getvalue()


def replaced(name, **options):
    def change(handle):
        del handle[name]
        handle.create_dataset(name, **options)

    return changed_hdf5(change)


def put(name, place, value):
    def change(handle):
        handle[name][place] = value

    return changed_hdf5(change)


def zip_bytes(members, **options):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", **options) as zipped:
        for name, content in members:
            zipped.writestr(name, content)
    return archive.getvalue()


def link():
    entry = zipfile.ZipInfo("4b1c/data/feature-table.biom")
    entry.external_attr = 0o120777 << 16
    return entry


ABOUT = ("4b1c/metadata.yaml", "type: FeatureTable[Frequency]\n")
# The first byte of a general purpose flag says that there is a password, that of a method how it is packed.
PASSWORD = qza_bytes(b"x").replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01")
METHOD = qza_bytes(b"x").replace(b"PK\x01\x02\x14\x03\x14\x00\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x00\x00\x63")
DEEP_YAML = "type: " + "[" * 50_000 + "\n"


def lying_bomb():
    """It says that 32 MB are 100 bytes."""
    content = zip_bytes([ABOUT, ("4b1c/data/feature-table.biom", bytes(2**25))], compression=zipfile.ZIP_DEFLATED)
    return content.replace((2**25).to_bytes(4, "little"), (100).to_bytes(4, "little"))


BAD = {
    "zip bomb": (
        zip_bytes([ABOUT, ("4b1c/data/feature-table.biom", bytes(2**25))], compression=zipfile.ZIP_DEFLATED),
        r"feature-table.biom is beyond 16.8 MB, out of an artifact of 0.03",
    ),
    "zip bomb that lies": (lying_bomb(), "not a QIIME 2 artifact, or a broken one|is beyond 16.8 MB"),
    "other compression": (
        zip_bytes([ABOUT, ("4b1c/data/feature-table.biom", bytes(2**25))], compression=zipfile.ZIP_BZIP2),
        "compressed in a way that QIIME 2 does not use",
    ),
    "of another file": (replaced("observation/ids", shape=(4,), dtype="S4", external=[("/etc/hostname", 0, 16)]), "another file"),
    "large metadata": (zip_bytes([("4b1c/metadata.yaml", "type: " + "x" * 70_000)]), "metadata.yaml is beyond"),
    "deep metadata": (zip_bytes([("4b1c/metadata.yaml", DEEP_YAML)]), r"artifact of type \[\[\["),
    "no type": (zip_bytes([("4b1c/metadata.yaml", "uuid: 4\n")]), "without a type"),
    "upwards": (zip_bytes([("../../etc/passwd", "x"), ABOUT]), "not a QIIME 2 artifact, or a broken one"),
    "absolute": (zip_bytes([("/etc/passwd", "x"), ABOUT]), "not a QIIME 2 artifact, or a broken one"),
    "link": (zip_bytes([ABOUT, (link(), "/etc/passwd")]), "not a feature table"),
    "password": (PASSWORD, "not a QIIME 2 artifact, or a broken one"),
    "unknown compression": (METHOD, "not a QIIME 2 artifact, or a broken one"),
    "no member": (zip_bytes([]), "not a feature table"),
    "index too large": (put("sample/matrix/indices", 2, 4), "counts of features that are not there"),
    "index negative": (put("sample/matrix/indices", 2, -1), "counts of features that are not there"),
    "index twice": (put("sample/matrix/indices", 1, 0), r"sample 2538.1001130, feature AAAA: counted twice"),
    "starts fall": (put("sample/matrix/indptr", 1, 5), "its parts do not fit together"),
    "starts beyond": (put("sample/matrix/indptr", -1, 10**9), "its parts do not fit together"),
    "nan in hdf5": (put("sample/matrix/data", 0, np.nan), "is not a number"),
    "text for counts": (replaced("sample/matrix/data", data=[b"a"] * 5), "broken BIOM table"),
    "a group for counts": (
        changed_hdf5(lambda handle: (handle.pop("sample/ids"), handle.create_group("sample/ids"))),
        "sample/ids is a group, not values",
    ),
    "claims much": (replaced("observation/ids", shape=(10**11,), dtype="S8", chunks=(1024,)), r"claims 100,000,000,000 values"),
    "claims many starts": (replaced("sample/matrix/indptr", shape=(10**11,), dtype=np.int32, chunks=(1024,)), "claims"),
    "no text": (replaced("sample/ids", data=[b"\xff\xfe", b"b", b"c"]), "broken BIOM table"),
    "shape of others, json": (json.dumps(json_document(shape=[10**9, 10**9])), "its shape is not that of its rows"),
    "index, json": (json.dumps(json_document(data=[[9, 9, 1]])), "broken BIOM table"),
    "one place twice, json": (json.dumps(json_document(data=[[0, 0, 5], [0, 0, 6]])), "counts of no place, or two of one"),
    "fraction of a place, json": (json.dumps(json_document(data=[[0.9, 0, 5]])), "counts of no place, or two of one"),
    "id of two lines, json": (
        json.dumps(json_document(rows=[{"id": "x\ny", "metadata": None}] * 4)),
        r"feature ids that are no line of text: 'x\\ny'",
    ),
    "half a letter, json": (
        json.dumps(json_document(rows=[{"id": "\ud800", "metadata": None}] * 4)),
        r"feature ids that are no line of text: '\\ud800'",
    ),
    "negative index, json": (json.dumps(json_document(data=[[-1, 0, 1]])), "broken BIOM table"),
    "deep, json": ("[" * 100_000, "not a feature table"),
    "deeper, json": ('{"a":' * 100_000, "broken BIOM table"),
    "nan": (hdf5_bytes(biom_table(changed(np.nan))), r"sample s\.2, feature AAAC: nan is not a number"),
    "inf": (tsv_text(changed(np.inf)), r"sample s\.2, feature AAAC: inf is not a number"),
    "negative": (tsv_text(changed(-2)), r"sample s\.2, feature AAAC: -2 is negative"),
    "fraction": (qza_bytes(hdf5_bytes(biom_table(changed(0.5)))), r"AAAC: 0\.5 is not a whole number: AAM needs counts"),
    "fraction called int": (json.dumps(json_document(matrix_element_type="int", data=[[0, 0, 0.25]])), "AAAA: 0.25 is not"),
    "huge": (tsv_text(changed(1e300)), r"AAAC: 1e\+300 is too large"),
    "duplicate sample": (tsv_text(samples=["a", "b", "a"]), r"duplicate sample ids: a;"),
    "duplicate feature": (tsv_text(features=list("xyyz")), "duplicate feature ids: y;"),
    "duplicate feature, json": (json.dumps(json_document(rows=[{"id": "x", "metadata": None}] * 4)), "duplicate feature ids: x;"),
    "duplicate sample, hdf5": (FORMATS["hdf5"].replace(b"10317.000003639", b"2538.1001130\0\0\0"), "duplicate sample ids: 2538"),
    "no samples": ("#OTU ID\ttaxonomy\nAAAA\tk__Bacteria\n", "the table has no samples"),
    "no features": (tsv_text(VALUES[:0], []), "the table has no features"),
    "no features, hdf5": (hdf5_bytes(biom.Table(np.zeros((0, 0)), [], [])), "the table has no samples"),
    "not a cell": (tsv_text().replace("7.0", "many"), r"feature AAAG: .*'many'.*every cell must be a count"),
    "ragged": (tsv_text() + "AAGG\t1\n", "feature AAGG has 2 cells, the header 4"),
    "no header": ("AAAA\t1\t2\n", "not a feature table: .*'#OTU ID' header"),
    "prose": ("Dear all,\nfind the table attached.", "not a feature table"),
    "nothing but comments": ("# of the third run\n# and more\n", "not a feature table"),
    "empty file": ("", "not a feature table: .*this file is empty"),
    "blank file": ("\n \t\n,,\n", "this file is empty"),
    "binary": (b"\x00\xff\xfe\x01", "not a feature table"),
    "truncated hdf5": (hdf5_bytes(biom_table())[:3000], r"broken BIOM table .*complete\?"),
    "truncated json": (json.dumps(json_document())[:-40], r"broken BIOM table .*complete\?"),
    "other json": ('{"a": 1}', "JSON of something else, not a feature table in BIOM 1: it has 'a'"),
    "truncated qza": (FORMATS["qza"][:-60], "not a QIIME 2 artifact, or a broken one"),
    "other zip": (qza_bytes(b"", member="x").replace(b"metadata.yaml", b"metadata.yamx"), "not a QIIME 2 artifact"),
    "other artifact": (qza_bytes(b"", "Phylogeny[Rooted]"), r"artifact of type Phylogeny\[Rooted\], where FeatureTable"),
    "no reads": (tsv_text(VALUES * [1, 0, 1]), r"1 of 3 samples has no reads: s\.2; .*`ignore_missing`"),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD.keys())
def test_bad_tables_are_refused_in_one_line(tmp_path, content, message):
    with pytest.raises(InputError, match=message) as caught:
        read_table(write(tmp_path, content))
    assert "\n" not in str(caught.value)


FROM_R = {
    "one sample, flat": ({"matrix_type": "dense", "shape": [4, 1], "data": [3, 0, 0, 7]}, 1, [[3, 0, 0, 7]]),
    "one sample, rows": ({"matrix_type": "dense", "shape": [4, 1], "data": [[3], [0], [0], [7]]}, 1, [[3, 0, 0, 7]]),
    "one feature, flat": ({"matrix_type": "dense", "shape": [1, 3], "data": [3, 1, 2]}, 3, [[3], [1], [2]]),
    "one count, flat": ({"matrix_type": "sparse", "shape": [4, 1], "data": [3, 0, 7]}, 1, [[0, 0, 0, 7]]),
    "large counts as R writes them": ({"shape": [4, 1], "data": [[0, 0, 1e5], [3.0, 0.0, 2e5]]}, 1, [[10**5, 0, 0, 2 * 10**5]]),
}


@pytest.mark.parametrize(("changes", "samples", "counts"), FROM_R.values(), ids=FROM_R.keys())
def test_biom_1_as_r_writes_small_tables(tmp_path, changes, samples, counts):
    axes = {"rows": FEATURES[: changes["shape"][0]], "columns": SAMPLES[:samples]}
    ids = {axis: [{"id": name, "metadata": "NA"} for name in names] for axis, names in axes.items()}
    table = read_table(write(tmp_path, json.dumps(json_document(**ids, **changes))))
    np.testing.assert_array_equal(table.counts.toarray(), counts)


def wrong(**changes):
    return json.dumps(json_document(**changes))


BROKEN_JSON = {
    "flat data of several samples": wrong(matrix_type="dense", data=VALUES.ravel().tolist()),
    "rows of other lengths": wrong(matrix_type="dense", data=[[1, 2], [3]]),
    "other shape": wrong(matrix_type="dense", data=VALUES.T.tolist()),
    "no numbers": wrong(matrix_type="dense", data=[["a", "b", "c"]] * 4),
    "objects": wrong(data=[{"a": 1}]),
    "pairs": wrong(data=[[0, 0]]),
    "place beyond all integers": wrong(data=[[1e300, 0, 1]]),
    "place that is none": wrong(data=[[float("nan"), 0, 1]]),
    "shape of one": wrong(shape=[4]),
    "shape of none": wrong(shape=None),
    "rows of numbers": wrong(rows=[1, 2, 3, 4]),
    "ids that are lists": wrong(rows=[{"id": ["a", "b"]}] * 4),
    "no ids": wrong(rows=[{"id": None}] * 4),
    "a number that Python alone takes for one": wrong(data=[[0, 0, "1_0"]]),
    "rows of text": wrong(rows=["a", "b", "c", "d"]),
    "columns of rows, as jsonlite writes them": wrong(rows={"id": ["a", "b", "c", "d"], "metadata": [None] * 4}),
    "ids that are true": wrong(rows=[{"id": True}] * 4),
    "a long number": wrong(data=[[0, 0, 10**400]]),
}


@pytest.mark.parametrize("content", BROKEN_JSON.values(), ids=BROKEN_JSON.keys())
def test_broken_biom_1_is_one_line(tmp_path, content):
    with pytest.raises(InputError, match="broken BIOM table") as caught:
        read_table(write(tmp_path, content))
    assert "\n" not in str(caught.value)
    assert "indices must be" not in str(caught.value)
    assert "mapping" not in str(caught.value)


def test_ids_of_biom_1_that_are_numbers_are_read_as_written(tmp_path):
    rows, columns = '[{"id": 1.10}, {"id": 7}]', '[{"id": 2538.10}, {"id": "2538.1"}]'
    path = write(tmp_path, f'{{"shape": [2, 2], "rows": {rows}, "columns": {columns}, "data": [[0, 0, 1.0], [1, 1, 2]]}}')
    table = read_table(path)
    assert (table.feature_ids, table.sample_ids) == (("1.10", "7"), ("2538.10", "2538.1"))
    assert table.counts.toarray().tolist() == [[1, 0], [0, 2]]


def test_a_gzip_bomb_is_refused(tmp_path):
    path = write(tmp_path, gzip.compress(bytes(2**25)))
    with pytest.raises(
        InputError, match=r"unpacks to more than 16.8 MB, out of a .gz of 0.0\d+ MB; if it is sound, gunzip it first"
    ):
        read_table(path)
    with pytest.raises(InputError, match="broken gzip file"):
        read_table(write(tmp_path, gzip.compress(tsv_text().encode()) + b"more"))


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.biom: cannot be read \(No such file"):
        read_table(tmp_path / "nowhere.biom")
    with pytest.raises(InputError, match="cannot be read"):
        read_table(tmp_path)


def test_ignore_missing_leaves_samples_out_with_a_warning(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        table = read_table(write(tmp_path, tsv_text(VALUES * [1, 0, 1])), ignore_missing=True)
    assert table.sample_ids == (SAMPLES[0], SAMPLES[2])
    assert table.feature_ids == tuple(FEATURES)
    assert [record.getMessage() for record in caplog.records] == ["1 of 3 samples has no reads: s.2; left out"]
    with pytest.raises(InputError, match="no sample is left"):
        read_table(write(tmp_path, tsv_text(VALUES * 0)), ignore_missing=True)


def test_select_samples_keeps_the_order_asked_for(tmp_path):
    table = read_table(write(tmp_path, tsv_text())).select_samples([SAMPLES[2], SAMPLES[0]])
    assert table.sample_ids == (SAMPLES[2], SAMPLES[0])
    np.testing.assert_array_equal(table.counts.toarray(), VALUES.T[[2, 0]])
    with pytest.raises(InputError, match=r"1 of 1 sample is not in the table: 2538\.100113"):
        table.select_samples(["2538.100113"])


def test_drop_shallow(tmp_path, caplog):
    table = read_table(write(tmp_path, tsv_text()))
    assert drop_shallow(table, 1, ignore_missing=False) is table
    with pytest.raises(InputError, match=r"2 of 3 samples have fewer reads than `sampling_depth=8`: s\.2, 10317"):
        drop_shallow(table, 8, ignore_missing=False)
    assert drop_shallow(table, 7, ignore_missing=True).sample_ids == (SAMPLES[0], "s.2")
    assert "1 of 3 samples has fewer reads" in caplog.text


@given(
    rows=st.lists(st.lists(st.integers(0, 40), min_size=5, max_size=5).filter(lambda row: sum(row) >= 3), min_size=1, max_size=4),
    seed=st.integers(0, 2**32),
)
def test_rarefied_rows_are_draws_of_the_depth(rows, seed):
    counts = sparse.csr_array(np.array(rows, dtype=np.int64))
    before = counts.toarray()
    depth = int(before.sum(axis=1).min())
    drawn = rarefy(counts, depth, np.random.default_rng(seed))
    np.testing.assert_array_equal(counts.toarray(), before)
    assert (drawn.toarray() <= before).all()
    assert (drawn.sum(axis=1) == depth).all()
    assert (drawn.data > 0).all()
    assert drawn.has_sorted_indices
    assert (drawn != rarefy(counts, depth, np.random.default_rng(seed))).nnz == 0


def test_rarefied_abundances_have_the_hypergeometric_mean_and_variance():
    rng, counts = np.random.default_rng(0), sparse.csr_array(np.array([[60, 30, 10]]))
    draws = np.array([rarefy(counts, 20, rng).toarray()[0] for _ in range(4000)])
    share = np.array([0.6, 0.3, 0.1])
    np.testing.assert_allclose(draws.mean(axis=0), 20 * share, atol=0.15)
    np.testing.assert_allclose(draws.var(axis=0), 20 * share * (1 - share) * 80 / 99, rtol=0.12)


@pytest.mark.parametrize(("reads", "message"), [(4, "row 1 .* 4 reads, fewer than `sampling_depth=5`"), (10**9, "fewer than 1e9")])
def test_rarefy_refuses_rows_it_cannot_draw_from(reads, message):
    counts = FeatureTable(sparse.csr_array(np.array([[5, 1], [reads, 0]])), ("a", "b"), ("x", "y")).counts
    with pytest.raises(InputError, match=message):
        rarefy(counts, 5, np.random.default_rng(0))


@pytest.mark.skipif(sys.platform != "linux", reason="memory of a process is limited on Linux alone")
def test_a_sound_table_is_read_where_the_system_limits_memory(tmp_path):
    """As `ulimit -v` does, to less than a broken file may take elsewhere."""
    (tmp_path / "table.biom").write_bytes(FORMATS["hdf5"])
    script = (
        "import resource, sys; from pathlib import Path; from aam.data.table import read_table; import biom\n"
        "taken = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (taken + 2**29,) * 2)\n"
        "print(len(read_table(Path(sys.argv[1])).sample_ids))"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "table.biom"], capture_output=True, text=True, check=False)
    assert done.stdout == "3\n", done.stderr
