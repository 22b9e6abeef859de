"""QIIME 2 artifacts that AAM writes: what is in them, and what QIIME 2 says of them where it is installed."""

import hashlib
import re
import uuid
import zipfile

import numpy as np
import pandas as pd
import pytest
import yaml

from aam.data.metadata import read_metadata
from aam.disk import qza
from aam.distances.files import read_distances, write_distances
from aam.distances.sample_values import read_sample_values, write_sample_values
from aam.errors import InputError
from tests.support.qiime import load_in_qiime, needs_qiime, qiime

IDS = ["2538.10", "s b", "s'c", "sé"]
VALUES = np.array([3.0, 0.1 + 0.2, 1e-9, 12345678.25])
POINTS = np.random.default_rng(0).normal(size=(4, 3))
MATRIX = np.linalg.norm(POINTS[:, None] - POINTS, axis=2)
# As the provenance of QIIME 2 wants it.
VERSION = r"QIIME 2\narchive: [0-9]{1,2}\nframework: 20[0-9]{2}\.[0-9]{1,2}\.[0-9]\n"


class _Cited(yaml.SafeLoader):
    """YAML with the tags of QIIME 2."""


_Cited.add_constructor("!cite", lambda loader, node: loader.construct_scalar(node))


def table(**columns):
    return pd.DataFrame(columns, index=pd.Index(IDS, name="SampleID"))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("artifacts")
    frames = {
        qza.REGRESSOR_PREDICTIONS: table(prediction=VALUES),
        qza.CLASSIFIER_PREDICTIONS: table(prediction=["a", "b b", "a", "a"]),
        qza.PROBABILITIES: table(a=VALUES, b=VALUES[::-1]),
        qza.METADATA: table(lower=VALUES, reason=["", "few reads", "", ""], new=[True, False, True, True]),
        qza.IMPORTANCE: table(importance=VALUES, mean=-VALUES),
    }
    found = {}
    for number, (artifact, frame) in enumerate(frames.items()):
        found[artifact] = folder / f"{number}.qza"
        qza.write_table(found[artifact], frame, artifact)
    found[qza.DISTANCE_MATRIX], found[qza.ALPHA_DIVERSITY] = folder / "distances.qza", folder / "alpha.qza"
    write_distances(found[qza.DISTANCE_MATRIX], MATRIX, IDS)
    write_sample_values(found[qza.ALPHA_DIVERSITY], "faith_pd", VALUES, IDS)
    assert {path.name for path in folder.iterdir()} == {path.name for path in found.values()}
    return found


def test_an_archive_is_whole_and_its_checksums_are_those_of_all_other_files(written):
    for artifact, path in written.items():
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            names = archive.namelist()
            root = names[0].split("/")[0]
            assert str(uuid.UUID(root, version=4)) == root
            files = {name.removeprefix(f"{root}/"): archive.read(name) for name in names}
        said = dict(line.split("  ")[::-1] for line in files.pop("checksums.md5").decode().splitlines())
        assert said == {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
        assert re.fullmatch(VERSION, files["VERSION"].decode())
        about = yaml.safe_load(files["metadata.yaml"])
        assert about == {"uuid": root, "type": artifact.semantic_type, "format": artifact.directory_format}
        assert files["provenance/metadata.yaml"] == files["metadata.yaml"]
        assert [name for name in files if name.startswith("data/")] == [f"data/{artifact.member}"]
        action = yaml.load(files["provenance/action/action.yaml"], _Cited)
        assert action["action"]["manifest"] == [{"name": artifact.member, "md5sum": said[f"data/{artifact.member}"]}]
        assert "attention-all-microbes" in action["environment"]["python-packages"]


def test_what_is_written_is_read_again(written, tmp_path):
    np.testing.assert_array_equal(read_distances(written[qza.DISTANCE_MATRIX], IDS[::-1]), MATRIX[::-1, ::-1])
    np.testing.assert_array_equal(read_sample_values(written[qza.ALPHA_DIVERSITY], IDS), VALUES)
    assert read_metadata(written[qza.METADATA]).typed["lower"].tolist() == VALUES.tolist()
    with pytest.raises(InputError, match=r"of type SampleData\[AlphaDiversity\], where DistanceMatrix is needed"):
        read_distances(written[qza.ALPHA_DIVERSITY], IDS)


def test_what_goes_wrong_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "a.qza"
    qza.write_table(path, table(prediction=VALUES), qza.REGRESSOR_PREDICTIONS)
    before = path.read_bytes()

    def fail():
        with qza.whole_or_artifact(path, qza.METADATA) as new:
            new.write_text("half")
            raise ValueError("halfway")

    with pytest.raises(ValueError, match="halfway"):
        fail()
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.qza"]


@needs_qiime
def test_qiime_2_loads_and_validates_every_type(written):
    # The release of Debian is older than ImmutableMetadata, which is a file of metadata and no more.
    types = {path: artifact.semantic_type for artifact, path in written.items() if artifact != qza.METADATA}
    assert set(load_in_qiime(types).values()) == {4}


@needs_qiime
def test_commands_of_qiime_2_take_them(written, tmp_path):
    predictions = written[qza.REGRESSOR_PREDICTIONS]
    assert "appears to be valid at level=max" in qiime("tools", "validate", predictions, "--level", "max")
    assert "SampleData[RegressorPredictions]" in qiime("tools", "peek", predictions)
    qiime("metadata", "tabulate", "--m-input-file", predictions, "--o-visualization", tmp_path / "table.qzv")
    with zipfile.ZipFile(tmp_path / "table.qzv") as archive:
        name = next(name for name in archive.namelist() if name.endswith("data/metadata.tsv"))
        assert "sé\t12345678.25" in archive.read(name).decode()
        # Its own provenance goes on from ours.
        assert sum(name.endswith("provenance/citations.bib") or "/artifacts/" in name for name in archive.namelist()) > 4
    with zipfile.ZipFile(written[qza.METADATA]) as archive:
        name = next(name for name in archive.namelist() if name.endswith("data/metadata.tsv"))
        (tmp_path / "metadata.tsv").write_bytes(archive.read(name))
    qiime("tools", "inspect-metadata", tmp_path / "metadata.tsv")


@needs_qiime
def test_an_archive_that_was_changed_is_told(written, tmp_path):
    """QIIME 2 would say so: its silence above is worth something."""
    changed = tmp_path / "changed.qza"
    with zipfile.ZipFile(written[qza.REGRESSOR_PREDICTIONS]) as archive, zipfile.ZipFile(changed, "w") as other:
        for name in archive.namelist():
            other.writestr(name, archive.read(name).replace(b"12345678.25", b"12345678.26"))
    with pytest.raises(AssertionError, match="Changed files"):
        qiime("tools", "validate", changed)
