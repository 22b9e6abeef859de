"""What QIIME 2 artifacts hold, in archives of every version that QIIME 2 has written."""

import numpy as np
import pytest

from aam.data.metadata import read_metadata
from aam.data.newick import read_nodes
from aam.data.sequences import read_sequences
from aam.data.table import read_table
from aam.data.taxonomy import read_taxonomy
from aam.distances.files import read_distances
from aam.distances.sample_values import read_sample_values
from tests.odd_files.tables import qza
from tests.support.formats import FEATURES, SAMPLES, VALUES, biom_table, hdf5_bytes

ALL_VERSIONS = ("0", "1", "2", "3", "4", "5", "6", "7.0", "7.1")
FASTA = "".join(f">{name}\n{letter * 4}\n" for name, letter in zip(FEATURES, "ACGT", strict=True)).encode()
METADATA = b"sample-id\tage\na\t1\nb\t2\n"
TAXONOMY = b"Feature ID\tTaxon\tConfidence\nf1\tk__Bacteria\t1\nf2\tk__Archaea\t1\n"
LSMAT = b"\ta\tb\na\t0.0\t1.5\nb\t1.5\t0.0\n"


@pytest.mark.parametrize("version", ALL_VERSIONS)
def test_artifacts_of_every_version_are_read(tmp_path, version):
    def put(name, content, semantic_type, member):
        path = tmp_path / f"{name}.qza"
        path.write_bytes(qza(content, version, semantic_type, member))
        return path

    table = read_table(put("table", hdf5_bytes(biom_table()), "FeatureTable[Frequency]", "feature-table.biom"), True)
    assert (table.sample_ids, table.feature_ids) == (tuple(SAMPLES), tuple(FEATURES))
    np.testing.assert_array_equal(table.counts.toarray(), VALUES.T)
    sequences = put("rep_seqs", FASTA, "FeatureData[Sequence]", "dna-sequences.fasta")
    assert read_sequences(table, sequences) == tuple("ACGT"[row] * 4 for row in range(4))
    tree = put("tree", b"(a:1,b:2);", "Phylogeny[Rooted]", "tree.nwk")
    assert [name for _, name, _ in read_nodes(tree)] == ["a", "b", None]
    metadata = read_metadata(put("metadata", METADATA, "ImmutableMetadata", "metadata.tsv"))
    assert metadata.typed["age"].tolist() == [1.0, 2.0]
    taxa = read_taxonomy(put("taxonomy", TAXONOMY, "FeatureData[Taxonomy]", "taxonomy.tsv"), ["f2", "f1"])
    assert taxa == (("k__Archaea",), ("k__Bacteria",))
    distances = put("distances", LSMAT, "DistanceMatrix", "distance-matrix.tsv")
    assert read_distances(distances, ["b", "a"]).tolist() == [[0.0, 1.5], [1.5, 0.0]]
    alpha = put("alpha", METADATA, "SampleData[AlphaDiversity]", "alpha-diversity.tsv")
    assert read_sample_values(alpha, ["b", "a"]).tolist() == [2.0, 1.0]
