"""The benchmark of unseen studies: what it compares with is right, and it prints a line for each study and pair."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd

import aam
from aam.data.simulate import simulate, write_simulation
from aam.options import FitOptions, ModelOptions
from benchmarks import other_reads, pretrained, unseen_studies


def test_distances_of_unseen_studies_are_compared(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "corpus"
    write_simulation(simulate(0, n_samples=120, n_asvs=60, length=60), folder)
    metadata = pd.read_csv(folder / "metadata.tsv", sep="\t", dtype=str, index_col=0)
    metadata["site"] = np.where(metadata["study"] == "study1", "", metadata["sex"])
    metadata.to_csv(folder / "metadata.tsv", sep="\t")
    monkeypatch.setattr(unseen_studies, "HELD_OUT", (("study1", "study2"), ("study3", "study4")))
    small = ModelOptions(embedding_dim=128, attention_layers=0, clades=40)
    quick = replace(pretrained.LEARNER, model=small, options=FitOptions(batch_size=12, epochs=3), groups_in_batch=1)
    monkeypatch.setattr(unseen_studies, "LEARNER", quick)
    monkeypatch.setattr("sys.argv", ["unseen_studies", "--data", str(tmp_path), "--output", str(tmp_path / "kept")])
    unseen_studies.main()
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    titles = {row[0]: place for place, row in enumerate(rows) if len(row) > 1 and not row[1].startswith("0")}
    assert list(titles) == ["within a study", "between two studies", "body site told"]
    assert [row[0] for row in rows if len(row) == 6 and row[1].startswith("0")] == [
        *("study1", "study2", "study3", "study4", "mean"),
        *("study1 - study2", "study3 - study4", "mean"),
    ]
    scores = np.array([[float(cell) for cell in row[1:]] for row in rows[2:6]])
    # In the place of the most similar ASV an unseen one is nearly where it belongs.
    assert (scores[:, 3] > 0.85).all()
    # A study without sites tells none.
    assert [row[0] for row in rows if len(row) == 4] == ["body site told", "study2", "study3", "study4", "mean"]
    assert len(list((tmp_path / "kept").iterdir())) == 2
    other = other_scores(tmp_path, monkeypatch, capsys)
    # Of all letters as in the first table.
    assert other["all"][:2] == scores[:2, 4].tolist()
    assert other["few"][:2] != other["all"][:2]
    # Fewer reads hide who is there.
    assert other["study3"][0] > other["study3"][2]

    corpus = unseen_studies.Corpus.read(folder)
    study = aam.read_study(folder / "table.biom", tree=folder / "tree.nwk")
    np.testing.assert_allclose(corpus.unifrac(np.arange(120), np.arange(120)), study.distances, atol=1e-5)


def other_scores(folder, monkeypatch, capsys):
    """The encoders that were kept read parts of the same sequences, and a table of one of the studies."""
    table, place = aam.read_study(folder / "corpus" / "table.biom").table, folder / "study3"
    shutil.copytree(folder / "corpus", place)
    (place / "seqs.fasta").write_text("".join(f">{name}\n{name}\n" for name in table.feature_ids))
    monkeypatch.setattr(other_reads, "HELD_OUT", unseen_studies.HELD_OUT)
    monkeypatch.setattr(other_reads, "READ", {"all": (0, 60), "few": (0, 12)})
    monkeypatch.setattr(other_reads, "WHOLE", ("study3",))
    monkeypatch.setattr(other_reads, "_DEPTH", 100)
    monkeypatch.setattr("sys.argv", ["other_reads", "--data", str(folder), "--encoders", str(folder / "kept")])
    other_reads.main()
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    said = {row[0]: [float(cell) for cell in row[1:]] for row in rows if row[-1].startswith(("0", "-0"))}
    assert {name: len(scores) for name, scores in said.items()} == {"all": 4, "few": 4, "study3": 4}
    return said


def test_a_body_site_is_that_of_most_neighbours():
    sites = np.array(["gut"] * 3 + ["skin"] * 4)
    distances = np.array([[0, 1, 2, 3, 4, 9, 9], [9, 1, 9, 0, 1, 2, 3]], dtype=float)
    assert unseen_studies.told_sites(distances, sites, np.array(["gut", "skin"])) == 1
    assert unseen_studies.told_sites(distances, sites, np.array(["skin", "skin"])) == 0.5
