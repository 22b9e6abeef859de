"""``aam predict`` and ``aam embed`` on several tables: files of each, a list of all, and what is done again."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from aam.data.simulate import simulate, write_simulation
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
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    write_simulation(simulate(0, n_samples=60, n_asvs=60, length=40), folder)
    read = read_study(folder / "table.biom", metadata=folder / "metadata.tsv", tree=folder / "tree.nwk")
    EnsembleLearner(QUICK, jobs=1).fit(pose(read, TargetOptions(metadata_column="age")), LEARNED).save(folder / "age")
    target = TargetOptions(metadata_column="disease", classifier=True)
    TransformerLearner(SHAPE, options=TrainFitOptions(epochs=1, batch_size=8)).fit(pose(read, target), LEARNED).save(
        folder / "disease"
    )
    PretrainingLearner(SHAPE, options=FitOptions(epochs=1, batch_size=8)).fit(read, LEARNED).save(folder / "encoder")
    return folder


@pytest.fixture
def runs(models, tmp_path, monkeypatch):
    """Three tables, of which one cannot be read, in the current folder; the folder of models."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for name in ("a", "b"):
        shutil.copy(models / "table.biom", f"runs/{name}.biom")
    (tmp_path / "runs" / "odd.biom").write_text("no table\n")
    return models


def tsv(path):
    return pd.read_csv(path, sep="\t", index_col=0, keep_default_na=False)


def rows(folder):
    return pd.read_csv(f"{folder}/tables.tsv", sep="\t", keep_default_na=False, dtype=str).set_index("table")


def test_each_table_is_predicted_as_it_is_alone(runs):
    aam("predict", "--model", runs / "age", "--table", "runs/a.biom", "--output", "alone.tsv")
    said = aam("predict", "--model", runs / "age", "--table", "runs/[ab].biom", "--output", "p/*.tsv")
    assert "table 2 of 2: runs/b.biom" in said
    for name in "ab":
        pd.testing.assert_frame_equal(tsv(f"p/{name}.tsv"), tsv("alone.tsv"))
        pd.testing.assert_frame_equal(tsv(f"p/{name}_intervals.tsv"), tsv("alone_intervals.tsv"))
    found, predicted = rows("p").loc["runs/b.biom"], tsv("alone.tsv")["prediction"]
    assert list(found.index) == [
        "file", "samples", "out_of_distribution", "age_mean", "age_lowest", "age_highest", "error", "made_from",
    ]  # fmt: skip
    assert (found["file"], found["samples"], found["error"]) == ("b.tsv", "60", "")
    assert int(found["out_of_distribution"]) == tsv("alone_intervals.tsv")["out_of_distribution"].astype(str).eq("True").sum()
    np.testing.assert_allclose(float(found["age_mean"]), predicted.mean(), rtol=1e-5)
    np.testing.assert_allclose(
        [float(found["age_lowest"]), float(found["age_highest"])], [predicted.min(), predicted.max()], rtol=1e-5
    )


def test_classes_are_counted(runs):
    aam("predict", "--model", runs / "disease", "--table", "runs/a.biom", "runs/b.biom", "--output", "p-*.tsv")
    counts = tsv("p-a.tsv")["prediction"].value_counts()
    found = rows(".").loc["runs/a.biom"]
    for name in ("case", "control"):
        assert int(found[f"disease={name}"]) == counts.get(name, 0)


def test_a_table_that_cannot_be_read_costs_a_line_and_is_tried_again(runs):
    command = ["predict", "--model", runs / "age", "--table", "runs/*.biom", "--output", "p/*.tsv"]
    said = aam(*command, code=2)
    assert said.splitlines()[-1] == (
        "error: 1 of 3 tables is left out, p/tables.tsv says why: runs/odd.biom; all others are done (--resume goes on with these)"
    )
    assert rows("p").loc["runs/odd.biom", "error"].startswith("runs/odd.biom: not a feature table")
    assert tsv("p/b.tsv").shape == (60, 1)
    said = aam(*command, code=2)
    assert "p/a.tsv: exists; choose another name or --overwrite" in said
    before = [Path(f"p/{name}.tsv").stat().st_mtime_ns for name in "ab"]
    shutil.copy("runs/a.biom", "runs/odd.biom")
    said = aam(*command, "--resume")
    assert "table 1 of 3: runs/a.biom is done" in said
    assert "wrote 60 predictions of age to p/odd.tsv" in said
    assert [Path(f"p/{name}.tsv").stat().st_mtime_ns for name in "ab"] == before
    assert (rows("p")["error"] == "").all()


@pytest.mark.parametrize("change", ["table", "model", "option", "output", "nothing", "speed"])
def test_only_what_is_made_from_something_else_is_made_again(runs, change):
    shutil.copytree(runs / "encoder", "encoder")
    command = ["embed", "--model", "encoder", "--table", "runs/a.biom", "runs/b.biom", "--output", "e/*.npy"]
    aam(*command)
    more = []
    if change == "table":
        write_simulation(simulate(1, n_samples=60, n_asvs=60, length=40), Path("other"))
        shutil.copy("other/table.biom", "runs/b.biom")
    elif change == "model":
        shutil.rmtree("encoder")
        shutil.copytree(runs / "disease", "encoder")
    elif change == "option":
        more = ["--min-reads", 2]
    elif change == "output":
        more = ["--distances", "d/*.tsv"]
    elif change == "speed":
        more = ["--batch-size", 7]
    said = aam(*command, *more, "--resume")
    again = {"table": 1, "nothing": 0, "speed": 0}.get(change, 2)
    assert said.count(" embeddings of width 16 to ") == again
    assert said.count(" is done") == 2 - again


def test_all_outputs_of_embeddings_have_the_name_of_the_table(runs):
    more = ["--distances", "d/*.tsv", "--ordination", "o/*_pcoa.txt"]
    aam("embed", "--model", runs / "encoder", "--table", "runs/a.biom", "runs/b.biom", "--output", "e/*.tsv", *more)
    found = {path.as_posix() for folder in "edo" for path in Path(folder).iterdir()}
    assert found == {
        "e/a.tsv", "e/a_novelty.tsv", "e/b.tsv", "e/b_novelty.tsv", "e/tables.tsv", "d/a.tsv", "d/b.tsv",
        "o/a_pcoa.txt", "o/a_pcoa.html", "o/a_pcoa.svg", "o/b_pcoa.txt", "o/b_pcoa.html", "o/b_pcoa.svg",
    }  # fmt: skip
    assert list(rows("e").columns) == ["file", "samples", "out_of_distribution", "dimensions", "error", "made_from"]
    aam("embed", "--model", runs / "encoder", "--level", "asv", "--table", "runs/a.biom", "--output", "v/*.tsv")
    assert rows("v").loc["runs/a.biom", "asvs"] == "60"


def test_each_table_can_have_a_folder(runs):
    aam("predict", "--model", runs / "age", "--table", "runs/[ab].biom", "--output", "p/*/ages.tsv")
    assert {path.as_posix() for path in Path("p").iterdir()} == {"p/a", "p/b", "p/tables.tsv"}
    assert list(rows("p")["file"]) == ["a/ages.tsv", "b/ages.tsv"]


def test_patterns_are_written_out_in_a_file_of_options_too(runs):
    Path("c.yaml").write_text(f"model: {runs / 'age'}\ntable: 'runs/[ab].biom'\noutput: 'p/*.qza'\n")
    aam("predict", "--config", "c.yaml")
    assert list(rows("p")["file"]) == ["a.qza", "b.qza"]


@pytest.mark.parametrize(
    ("more", "error"),
    [
        (["--table", "runs/a.biom", "runs/b.biom", "--output", "p.tsv"],
         "--output p.tsv: one name for 2 tables; put a * in it for the name of each ('*.tsv'), or merge the tables "
         "(--more-tables)"),
        (["--table", "runs/a.biom", "runs/b.biom", "--output", "p/*.tsv", "--more-tables", "runs/b.biom"],
         "--more-tables with 2 files in --table, each by itself: leave out one or the other"),
        (["--table", "runs/x*.biom", "--output", "p/*.tsv"], "--table runs/x*.biom: no file is like that; check the pattern"),
        (["--table", "runs/a.biom", "runs/none.biom", "--output", "p/*.tsv"],
         "--table runs/none.biom: does not exist; check the path to this file"),
        (["--table", "runs/a.biom", "--output", "p.tsv", "--resume"],
         "--resume is for several tables, to an --output with a * in its name; leave it out"),
        (["--table", "runs/a.biom", "--output", "p/*.tsv", "--resume", "--overwrite"],
         "--overwrite and --resume are both given: choose one"),
        (["--table", "runs/a.biom", "runs/a.biom", "--output", "p/*.tsv"],
         "--table: runs/a.biom and runs/a.biom would both be called a; rename one"),
        (["--table", "runs/a.biom", "runs/a_intervals.biom", "--output", "p/*.tsv"],
         "--table: runs/a_intervals.biom and runs/a.biom would both write p/a_intervals.tsv; rename one"),
        (["--table", "runs/tables.biom", "--output", "p/*.tsv"],
         "--table: runs/tables.biom and p/tables.tsv would both write p/tables.tsv; rename one"),
        (["--table", "runs/a.biom", "--output", "p/*.csv"], "--output p/a.csv: must end in .tsv or .qza or .h5ad"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line_before_anything_is_read(runs, more, error):
    for name in ("tables", "a_intervals"):
        shutil.copy("runs/a.biom", f"runs/{name}.biom")
    said = aam("predict", "--model", runs / "age", *more, code=2)
    assert said == f"error: {error}\n"


def test_what_several_tables_give_needs_a_star_in_every_name(runs):
    command = ["embed", "--model", runs / "encoder", "--table", "runs/a.biom", "runs/b.biom", "--output", "e/*.tsv"]
    said = aam(*command, "--distances", "d.tsv", code=2)
    assert said == "error: --distances d.tsv: one name for 2 tables; put a * in it for the name of each ('*.tsv')\n"


def test_of_several_targets_each_table_has_files_of_each(models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = ["--table", models / "table.biom", "--metadata", models / "metadata.tsv", "--metadata-column", "age,disease"]
    small = ["--embedding-dim", 8, "--attention-heads", 1, "--attention-layers", 1, "--epochs", 1]
    aam("train", "--recipe", "transformer", *data, "--class-columns", "disease", *small, "--output-dir", "both")
    shutil.copy(models / "table.biom", "t.biom")
    aam("predict", "--model", "both", "--table", "t.biom", "--output", "p/*.tsv")
    found = rows("p").loc["t.biom"]
    assert found["samples"] == "60"
    assert {"age_mean", "disease=case", "disease=control"} <= set(found.index)
    assert tsv("p/t_age.tsv").shape == tsv("p/t_disease.tsv").shape == (60, 1)
    said = aam("predict", "--model", "both", "--table", "t.biom", "--output", "p/*.tsv", "--resume")
    assert "table 1 of 1: t.biom is done" in said
    config = Path("both/targets/age/model/config.json")
    config.write_text(config.read_text().replace('"seed": 0', '"seed": 1'))
    said = aam("predict", "--model", "both", "--table", "t.biom", "--output", "p/*.tsv", "--resume")
    assert "wrote 60 predictions of age to p/t_age.tsv" in said
