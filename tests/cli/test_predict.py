"""``aam predict`` and ``aam embed`` on new samples: which ones, what is said of them, and scores where the truth is known."""

import json

import numpy as np
import pandas as pd
import pytest
from biom import Table
from scipy.spatial.distance import cdist
from skbio import DistanceMatrix, OrdinationResults

from aam.data.sequences import reverse_complement
from aam.data.simulate import simulate, write_simulation
from aam.data.table import read_table
from aam.distances.files import read_distances
from aam.learners.ensemble import EnsembleLearner
from aam.learners.pretraining import PretrainingLearner
from aam.learners.transformer import TransformerLearner
from aam.options import FitOptions, ModelOptions, TargetOptions, TrainFitOptions
from aam.study.problem import pose
from aam.study.reading import read_study
from tests.support.commands import aam
from tests.support.studies import QUICK

SHAPE = ModelOptions(embedding_dim=16, attention_heads=2, attention_layers=1)
LEARNED = np.arange(40)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A community of 60 samples in a folder, and three models that learned from the first 40."""
    folder = tmp_path_factory.mktemp("study")
    write_simulation(simulate(0, n_samples=60, n_asvs=60, length=40), folder)
    read = read_study(folder / "table.biom", metadata=folder / "metadata.tsv", tree=folder / "tree.nwk")
    EnsembleLearner(QUICK, jobs=1).fit(pose(read, TargetOptions(metadata_column="age")), LEARNED).save(folder / "age")
    learner = TransformerLearner(SHAPE, options=TrainFitOptions(epochs=1, batch_size=8))
    target = TargetOptions(metadata_column="disease", classifier=True)
    learner.fit(pose(read, target), LEARNED).save(folder / "disease")
    PretrainingLearner(SHAPE, options=FitOptions(epochs=1, batch_size=8)).fit(read, LEARNED).save(folder / "encoder")
    return folder


def write_table(path, counts, samples, features):
    path.write_text(Table(counts.T, features, samples).to_json("test"))
    return path


def tsv(path):
    return pd.read_csv(path, sep="\t", index_col=0, keep_default_na=False)


@pytest.fixture(scope="module")
def one_read(study):
    """Samples of one read each, of an ASV that the models know."""
    table = read_table(study / "table.biom")
    counts = table.counts.toarray()
    single = np.eye(counts.shape[1], dtype=np.int64)[counts[LEARNED].argmax(axis=1)]
    return write_table(study / "one_read.biom", single, [f"n{row}" for row in LEARNED], table.feature_ids)


@pytest.fixture(scope="module")
def turned(study):
    table = read_table(study / "table.biom")
    names = [f"n{row}" for row in range(60)]
    return write_table(study / "turned.biom", table.counts.toarray(), names, [*map(reverse_complement, table.feature_ids)])


@pytest.mark.parametrize("model", ["age", "disease", "encoder"])
def test_samples_with_too_little_in_them_are_out_of_distribution(study, one_read, tmp_path, model):
    command, what = ("embed", "novelty") if model == "encoder" else ("predict", "intervals")
    said = aam(command, "--model", study / model, "--table", one_read, "--output", tmp_path / "p.tsv")
    assert "40 of 40 samples are out of distribution: 40 with fewer reads than training samples had (" in said
    assert "40 with fewer ASVs than training samples had (" in said
    assert ": n0, n1, n2 ... (37 more)" in said
    beside = tsv(tmp_path / f"p_{what}.tsv")
    assert beside["out_of_distribution"].all()
    assert set(beside["reason"]) == {"few reads; few ASVs"}
    assert (beside["reads"] == 1).all()
    assert (beside["asvs"] == 1).all()
    np.testing.assert_allclose(beside["distance_to_training"], 0, atol=1e-5)


@pytest.mark.parametrize("model", ["age", "encoder"])
def test_sequences_that_are_turned_round_are_told(study, turned, tmp_path, model):
    command = "embed" if model == "encoder" else "predict"
    said = aam(command, "--model", study / model, "--table", turned, "--output", tmp_path / "p.tsv", code=2)
    assert "error: the sequences look reverse-complemented: 98% of 60 ASVs are like those that the model learned from only" in said
    assert "as the ID or with --rep-seqs" in said
    assert not (tmp_path / "p.tsv").exists()
    said = aam(command, "--model", study / model, "--table", study / "table.biom", "--output", tmp_path / "q.tsv")
    assert "reverse-complemented" not in said


def predict(study, model, output, *more, code=0):
    return aam("predict", "--model", study / model, "--table", study / "table.biom", "--output", output, *more, code=code)


def test_what_the_model_was_trained_on_is_said_and_not_scored(study, tmp_path):
    output = tmp_path / "p.tsv"
    said = predict(study, "age", output, "--metadata", study / "metadata.tsv")
    assert "40 of 60 samples are, by their IDs, ones that the model was trained on: predictions of these are too good" in said
    predictions, beside = tsv(output), tsv(tmp_path / "p_intervals.tsv")
    # QIIME 2 imports no more than one.
    assert list(predictions.columns) == ["prediction"]
    truth = tsv(study / "metadata.tsv")["age"]
    np.testing.assert_allclose(beside["true"], truth)
    np.testing.assert_allclose(beside["error"], predictions["prediction"] - truth)
    found = json.loads((tmp_path / "p_scores.json").read_text())
    assert (found["column"], found["scored_samples"], found["trained_on"]) == ("age", 20, False)
    new = read_table(study / "table.biom").sample_ids[40:]
    learned = read_table(study / "table.biom").sample_ids[:40]
    assert found["scores"]["mae"] == pytest.approx(beside.loc[list(new), "error"].abs().mean())
    assert found["scores"]["median_mae"] == pytest.approx((truth[list(new)] - truth[list(learned)].median()).abs().mean())
    assert "mae of the baseline (median)" in said
    # What was known then is not known of other predictions.
    said = predict(study, "age", output, "--overwrite")
    assert "scores" not in said
    assert not (tmp_path / "p_scores.json").exists()
    assert "true" not in tsv(tmp_path / "p_intervals.tsv")


def test_samples_without_a_value_are_predicted_and_not_scored(study, tmp_path):
    metadata = pd.read_csv(study / "metadata.tsv", sep="\t", dtype=str)
    metadata.loc[41:44, "age"] = ""
    metadata.loc[45, "age"] = "old"
    metadata.drop(index=59).to_csv(tmp_path / "part.tsv", sep="\t", index=False)
    said = predict(study, "age", tmp_path / "p.tsv", "--metadata", tmp_path / "part.tsv")
    assert f"1 of 60 samples has no number in column age: predicted, not scored: {metadata.loc[45, 'sample-id']} (old)" in said
    assert "5 of 60 samples have no value in column age: predicted, not scored" in said
    assert len(tsv(tmp_path / "p.tsv")) == 60
    assert json.loads((tmp_path / "p_scores.json").read_text())["scored_samples"] == 14
    assert (tsv(tmp_path / "p_intervals.tsv")["true"] == "").sum() == 6


def test_classes_are_scored_and_those_that_are_not_known_are_named(study, tmp_path):
    metadata = pd.read_csv(study / "metadata.tsv", sep="\t", dtype=str)
    metadata.loc[50, "disease"] = "other"
    metadata.to_csv(tmp_path / "m.tsv", sep="\t", index=False)
    said = predict(study, "disease", tmp_path / "p.tsv", "--metadata", tmp_path / "m.tsv")
    assert "1 of 60 samples is of classes that the model does not know: predicted, not scored" in said
    found = json.loads((tmp_path / "p_scores.json").read_text())
    learned, new = metadata["disease"][:40], metadata["disease"][40:].drop(index=50)
    assert found["scored_samples"] == 19
    assert found["scores"]["majority_accuracy"] == pytest.approx((new == learned.mode()[0]).mean())
    assert list(tsv(tmp_path / "p_intervals.tsv")["true"]) == list(metadata["disease"])
    said = predict(study, "disease", tmp_path / "q.tsv", "--metadata", study / "metadata.tsv", "--samples", tmp_path / "m.tsv")
    assert "scores of disease" in said


def test_metadata_without_the_column_score_nothing(study, tmp_path):
    (tmp_path / "m.tsv").write_text("sample-id\tsite\nelsewhere\tgut\n")
    said = predict(study, "age", tmp_path / "p.tsv", "--metadata", tmp_path / "m.tsv")
    assert "the metadata have no column age, so predictions are not scored" in said


def test_some_samples_of_a_table(study, tmp_path):
    table = read_table(study / "table.biom")
    chosen = [table.sample_ids[row] for row in (7, 3)]
    (tmp_path / "ids.txt").write_text("".join(f"{name}\n" for name in chosen))
    (tmp_path / "ids.tsv").write_text("sample-id\tsite\n" + "".join(f"{name}\tgut\n" for name in chosen))
    for name in ("ids.txt", "ids.tsv"):
        predict(study, "age", tmp_path / f"{name}.tsv", "--samples", tmp_path / name)
        assert set(tsv(tmp_path / f"{name}.tsv").index) == set(chosen)
    where = ["--metadata", study / "metadata.tsv", "--where", "[sex]='male'"]
    predict(study, "age", tmp_path / "w.tsv", *where)
    sexes = tsv(study / "metadata.tsv")["sex"]
    assert list(tsv(tmp_path / "w.tsv").index) == list(sexes.index[sexes == "male"])
    whole = tmp_path / "all.tsv"
    predict(study, "age", whole)
    np.testing.assert_allclose(tsv(tmp_path / "w.tsv")["prediction"], tsv(whole).loc[sexes == "male", "prediction"], rtol=1e-5)
    aam("embed", "--model", study / "encoder", "--table", study / "table.biom", "--output", tmp_path / "e.tsv", *where)
    assert list(tsv(tmp_path / "e.tsv").index) == list(tsv(tmp_path / "w.tsv").index)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("nobody\n", "1 of 1 sample is not in the table"),
        ("\n\n", "names no sample"),
        ("S00001\nS00001\n", "there twice: S00001"),
        (b"caf\xe9\n", "is not text in UTF-8"),
    ],
)
def test_a_list_of_samples_that_is_none_is_one_line(study, tmp_path, content, said):
    (tmp_path / "ids").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert said in predict(study, "age", tmp_path / "p.tsv", "--samples", tmp_path / "ids", code=2)


def test_a_minimum_of_reads(study, tmp_path):
    depths = read_table(study / "table.biom").depths
    least = int(np.sort(depths)[10])
    said = predict(study, "age", tmp_path / "p.tsv", "--min-reads", least, code=2)
    assert f"10 of 60 samples have fewer reads than --min-reads {least}" in said
    said = predict(study, "age", tmp_path / "p.tsv", "--min-reads", least, "--ignore-missing", "--metadata", study / "metadata.tsv")
    assert "left out" in said
    assert (tsv(tmp_path / "p_intervals.tsv")["reads"] >= least).all()
    assert len(tsv(tmp_path / "p.tsv")) == 50


@pytest.mark.parametrize("suffix", [".tsv", ".h5", ".npy"])
def test_distances_between_embeddings(study, tmp_path, suffix):
    output, place = tmp_path / "e.tsv", tmp_path / f"d{suffix}"
    aam("embed", "--model", study / "encoder", "--table", study / "table.biom", "--output", output, "--distances", place)
    embeddings = tsv(output)
    wanted = cdist(embeddings, embeddings)
    np.testing.assert_allclose(read_distances(place, list(embeddings.index)), wanted, atol=1e-5)
    if suffix == ".tsv":
        # As QIIME 2 reads it.
        assert DistanceMatrix.read(str(place)).ids == tuple(embeddings.index)


def test_principal_coordinates_of_embeddings(study, tmp_path):
    embed = ["embed", "--model", study / "encoder", "--table", study / "table.biom", "--output", tmp_path / "e.tsv"]
    options = ["--ordination", tmp_path / "pcoa.txt", "--metadata", study / "metadata.tsv", "--colour-by", "age"]
    said = aam(*embed, *options)
    assert f"wrote their principal coordinates to {tmp_path / 'pcoa.txt'}" in said
    points = OrdinationResults.read(str(tmp_path / "pcoa.txt")).samples
    embeddings = tsv(tmp_path / "e.tsv")
    assert list(points.index) == list(embeddings.index)
    assert abs(cdist(points, points) - cdist(embeddings, embeddings)).max() < 0.1 * cdist(embeddings, embeddings).max()
    page = (tmp_path / "pcoa.html").read_text(encoding="utf-8")
    assert '<option value="0" selected>age</option>' in page
    assert "distance_to_training" in page
    assert (tmp_path / "pcoa.svg").read_text(encoding="utf-8").startswith("<?xml")
    # Without metadata, the novelty is what is known.
    aam(*embed, "--ordination", tmp_path / "pcoa.txt", "--overwrite")
    assert '<option value="0" selected>distance_to_training</option>' in (tmp_path / "pcoa.html").read_text(encoding="utf-8")


def test_what_an_ordination_lacks_is_said_before_anything_is_written(study, tmp_path):
    embed = ["embed", "--model", study / "encoder", "--table", study / "table.biom", "--output", tmp_path / "e.qza"]
    place, metadata = ["--ordination", tmp_path / "pcoa.txt"], ["--metadata", study / "metadata.tsv"]
    assert "--ordination: needs" not in aam(*embed, "--colour-by", "age", code=2)
    assert "--colour-by age: needs --ordination, and --metadata" in aam(*embed, *place, "--colour-by", "age", code=2)
    assert "has no column colour" in aam(*embed, *place, *metadata, "--colour-by", "colour", code=2)
    assert "is the --output, too" in aam(*embed, "--ordination", tmp_path / "e.qza", code=2)
    both = ["--ordination", tmp_path / "d.qza", "--distances", tmp_path / "d.qza"]
    assert "is the --distances, too" in aam(*embed, *both, code=2)
    assert "must end in .txt or .qza" in aam(*embed, "--ordination", tmp_path / "pcoa.html", code=2)
    one = ["--samples", tmp_path / "one.txt"]
    (tmp_path / "one.txt").write_text(read_table(study / "table.biom").sample_ids[0])
    assert "1 sample whose embeddings are all the same" in aam(*embed, *place, *one, code=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.txt"]


def test_what_embed_cannot_write_is_said_first(study, tmp_path):
    # Not a table: it is not read.
    (tmp_path / "broken.biom").write_text("broken")
    embed = ["embed", "--table", tmp_path / "broken.biom", "--model", study / "encoder", "--output", tmp_path / "e.tsv"]
    assert "is the --output, too" in aam(*embed, "--distances", tmp_path / "e.tsv", code=2)
    assert "--distances" in aam(*embed, "--distances", tmp_path / "e.csv", code=2)
    assert "leave out --distances" in aam(*embed, "--distances", tmp_path / "d.tsv", "--level", "asv", code=2)
    embed[4] = study / "age"
    assert "an ensemble, which has no encoder and no embeddings" in (said := aam(*embed, code=2))
    assert "of pretrain, or of train with --recipe transformer" in said
