"""docs/r.md: its code takes objects of phyloseq and SummarizedExperiment into AAM and back, where R has them."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aam.data.newick import read_nodes
from aam.data.simulate import simulate, write_simulation
from aam.data.table import read_table
from aam.data.taxonomy import read_taxonomy
from aam.learners.ensemble import EnsembleLearner
from aam.options import TargetOptions
from aam.study.problem import pose
from aam.study.reading import read_study
from tests.support.commands import aam
from tests.support.studies import QUICK

PAGE = Path(__file__).parents[1] / "docs" / "r.md"
HAS = 'quit(status = as.integer(!all(nzchar(c(system.file(package = "phyloseq"), system.file(package = "SingleCellExperiment"))))))'
# An object with samples as rows, IDs that look like numbers, and a count that R writes as 1e+05.
INTO = """
given <- as.matrix(read.delim("given.tsv", check.names = FALSE))
rownames(given) <- readLines("names.txt")
about <- read.delim("about.tsv", check.names = FALSE)
rownames(about) <- rownames(given)
seqs <- Biostrings::DNAStringSet(setNames(colnames(given), paste0("ASV", seq_len(ncol(given)))))
tree <- ape::read.tree("tree.nwk")
tree$tip.label <- names(seqs)[match(tree$tip.label, as.character(seqs))]
colnames(given) <- names(seqs)
ranks <- matrix(c("Bacteria", NA), length(seqs), 2, byrow = TRUE, dimnames = list(names(seqs), c("Kingdom", "Phylum")))
ps <- phyloseq(otu_table(given, taxa_are_rows = FALSE), sample_data(about), phy_tree(tree), refseq(seqs), tax_table(ranks))
# Of the samples that the files have without the first ten.
saveRDS(prune_samples(sample_names(ps)[11:40], ps), "ps.rds")
stopifnot(inherits(try(phyloseq_for_aam(transform_sample_counts(ps, function(x) x / sum(x)), "shares")), "try-error"))
phyloseq_for_aam(ps, "for-aam")
tse <- SingleCellExperiment(list(counts = t(given)), colData = DataFrame(about), rowData = DataFrame(ranks, length = nchar(seqs)))
saveRDS(tse, "tse.rds")
mia_for_aam(tse, "from-mia")
"""
BACK = """
found <- as(sample_data(ps), "data.frame")
axes <- ordinate(ps, "PCoA", distance = distances)
told <- c(rownames(found), found$aam_prediction, as.matrix(distances)[1, ], axes$vectors[, 1], colnames(found))
writeLines(told, "told.txt")
writeLines(as.character(c(tse$aam_prediction, reducedDim(tse, "AAM")[, 2])), "told_of_mia.txt")
"""


def has_packages():
    return shutil.which("Rscript") is not None and subprocess.run(["Rscript", "-e", HAS], check=False, timeout=120).returncode == 0


def lines_after(words):
    """Those of the page that its reader types."""
    return re.search(rf"^{re.escape(words)}.*?^```\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)[1]


def run_r(program, folder):
    code = "\n".join(re.findall(r"^```r\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S))
    (folder / "program.R").write_text(code + program, encoding="utf-8")
    done = subprocess.run(["Rscript", "program.R"], cwd=folder, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not has_packages(), reason="R has not both packages")
def test_objects_of_r_into_aam_and_back(tmp_path):
    write_simulation(simulate(0, n_samples=40, n_asvs=40, length=40), tmp_path)
    table, metadata = read_table(tmp_path / "table.biom"), pd.read_csv(tmp_path / "metadata.tsv", sep="\t")
    counts = table.counts.toarray()
    counts[0, 0] = 100_000
    ids = [f"2538.{row}0" for row in range(40)]
    pd.DataFrame(counts, columns=table.feature_ids).to_csv(tmp_path / "given.tsv", sep="\t", index=False)
    (tmp_path / "names.txt").write_text("\n".join(ids) + "\n")
    metadata.drop(columns="sample-id").to_csv(tmp_path / "about.tsv", sep="\t", index=False)
    run_r(INTO, tmp_path)

    made = tmp_path / "for-aam"
    files = {"metadata": made / "metadata.tsv", "tree": made / "tree.nwk", "rep_seqs": made / "seqs.fasta"}
    study = read_study(made / "table.tsv", **files)
    assert list(study.table.sample_ids) == ids
    for name in ("table.tsv", "metadata.tsv", "taxonomy.tsv"):
        mia, phyloseq = ((folder / name).read_text().splitlines() for folder in (tmp_path / "from-mia", made))
        assert sorted(mia) == sorted(phyloseq)  # phyloseq puts ASVs in the order of the tree
    order = [study.sequences.index(sequence) for sequence in table.feature_ids]
    np.testing.assert_array_equal(study.counts.toarray()[:, order], counts)
    np.testing.assert_allclose(study.metadata["age"], metadata["age"])
    assert len([name for _, name, _ in read_nodes(made / "tree.nwk") if name]) >= 40
    assert set(read_taxonomy(made / "taxonomy.tsv", study.table.feature_ids)) == {("Bacteria",)}

    EnsembleLearner(QUICK, jobs=1).fit(pose(study, TargetOptions(metadata_column="age")), np.arange(40)).save(tmp_path / "age")
    both = ["--table", made / "table.tsv", "--rep-seqs", made / "seqs.fasta"]
    aam("predict", "--model", tmp_path / "age", *both, "--output", tmp_path / "predictions.tsv")
    aam("distances", *both[:2], "--metric", "bray_curtis", "--output", tmp_path / "distances.tsv")
    aam("embed", "--model", "aam-16s-v4", *both, "--output", tmp_path / "embeddings.tsv")
    read = 'ps <- readRDS("ps.rds")\ntse <- readRDS("tse.rds")\n'
    run_r(read + lines_after("To phyloseq:") + lines_after("To mia,") + BACK, tmp_path)

    told = (tmp_path / "told.txt").read_text().splitlines()
    assert told[:30] == ids[10:]
    predictions = pd.read_csv(tmp_path / "predictions.tsv", sep="\t", dtype={0: str})["prediction"]
    np.testing.assert_allclose(np.array(told[30:60], dtype=float), predictions[10:])
    distances = pd.read_csv(tmp_path / "distances.tsv", sep="\t", index_col=0)
    np.testing.assert_allclose(np.array(told[60:90], dtype=float), distances.to_numpy()[10, 10:])
    assert {"age", "aam_prediction", "aam_distance_to_training"} <= set(told[120:])
    of_mia = np.array((tmp_path / "told_of_mia.txt").read_text().splitlines(), dtype=float)
    embeddings = pd.read_csv(tmp_path / "embeddings.tsv", sep="\t", index_col=0).to_numpy()
    np.testing.assert_allclose(of_mia, [*predictions, *embeddings[:, 1]])
