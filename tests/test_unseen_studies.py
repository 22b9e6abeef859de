"""The benchmark of unseen studies: what it compares with is right, and it prints a line for each study and pair."""

import numpy as np

import aam
from aam.data.simulate import simulate, write_simulation
from benchmarks import unseen_studies


def test_distances_of_unseen_studies_are_compared(tmp_path, monkeypatch, capsys):
    write_simulation(simulate(0, n_samples=80, n_asvs=60, length=60), tmp_path / "corpus")
    monkeypatch.setattr(unseen_studies, "HELD_OUT", (("study1", "study2"), ("study3", "study4")))
    options = ["--data", str(tmp_path), "--clades", "20", "--width", "8", "--steps", "30", "--end-to-end"]
    monkeypatch.setattr("sys.argv", ["unseen_studies", *options])
    unseen_studies.main()
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    names = ["study1", "study2", "study1 - study2", "study3", "study4", "study3 - study4"]
    assert [row[0] for row in rows[2:]] == [*names, "mean within a study", "mean between two studies"]
    scores = np.array([[float(cell) for cell in row[1:]] for row in rows[2:]])
    assert scores.shape == (8, 4)
    # In the place of the most similar ASV an unseen one is nearly where it belongs.
    assert (scores[:, 1] > 0.85).all()

    corpus = unseen_studies.Corpus.read(tmp_path / "corpus")
    study = aam.read_study(tmp_path / "corpus" / "table.biom", tree=tmp_path / "corpus" / "tree.nwk")
    true = aam.beta_diversity("unweighted", study)
    np.testing.assert_allclose(corpus.unifrac(np.arange(80)), true.data if hasattr(true, "data") else true, atol=1e-5)
