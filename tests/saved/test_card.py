"""The card of a model folder: what is in it, what it keeps, and that a hub can read it."""

import json
import re
import shutil
from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
import yaml

from aam.data.simulate import simulate, write_simulation
from aam.errors import InputError
from aam.learners.ensemble import EnsembleLearner
from aam.learners.pretraining import PretrainingLearner
from aam.learners.transformer import TransformerLearner
from aam.options import CardOptions, FitOptions, ModelOptions, TargetOptions, TrainFitOptions
from aam.saved.card import card_text
from aam.saved.folder import FILES
from aam.saved.info import Origin
from aam.saved.load import load
from aam.saved.sharing import write_card
from aam.study.problem import pose
from aam.study.reading import read_study
from aam.study.splits import Split
from tests.support.hub import needs_huggingface_hub
from tests.support.studies import QUICK, without_sequences

SHAPE = ModelOptions(embedding_dim=16, attention_heads=2, attention_layers=1)
LEARNED, OTHERS = np.arange(40), np.arange(40, 60)
KINDS = ("age", "disease", "encoder")
SAID = {
    "title": "Age from stool",
    "license": "CC-BY-4.0",
    "training_data": "60 people who do not exist.\n\nSimulated: see `aam demo`.",
    "primers": "515F/806R",
    "region": "16S V4",
    "split_protocol": "Subjects whole.",
    "intended_use": "Tests. No diagnosis: 'never' {at} [all] --- \"quoted\" #x",
    "scores": "| cohort | MAE |\n|---|---|\n| another | 7.1 |",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A community, and a model of each kind with scores of its held-out samples."""
    place = tmp_path_factory.mktemp("models")
    write_simulation(simulate(0, n_samples=60, n_asvs=60, length=40), place)
    metadata = pd.read_csv(place / "metadata.tsv", sep="\t", index_col=0)
    metadata["subject"] = [f"person{row // 4}" for row in range(60)]
    metadata.to_csv(place / "metadata.tsv", sep="\t")
    study = read_study(place / "table.biom", metadata=place / "metadata.tsv", tree=place / "tree.nwk")
    age = pose(study, TargetOptions(metadata_column="age", categorical_columns=("sex",)), "subject")
    disease = pose(study, TargetOptions(metadata_column="disease", classifier=True))
    fits = TrainFitOptions(epochs=1, batch_size=8)
    fitted = {
        "age": EnsembleLearner(QUICK, jobs=1).fit(age, LEARNED),
        "disease": TransformerLearner(SHAPE, options=fits).fit(disease, LEARNED),
        "encoder": PretrainingLearner(SHAPE, options=FitOptions(epochs=1, batch_size=8)).fit(study, LEARNED),
    }
    scores = {
        "age": {"mae": 3.14159, "r2": float("nan"), "median_mae": 7.5},
        "disease": {"auc": 0.81, "accuracy": 0.75, "majority_accuracy": 0.5},
        "encoder": {"spearman": 0.5, "r2": 0.25, "stress": 0.1, "mse": 0.01, "mean_mse": 0.02},
    }
    for name, model in fitted.items():
        column = "subject" if name == "age" else None
        info = model.info.scored(scores[name], study, column, Split(LEARNED[:36], LEARNED[36:], OTHERS), ("test", OTHERS))
        replace(model, info=info).save(place / name)
    return place


@pytest.fixture
def models(folder, tmp_path):
    """A copy of it."""
    return shutil.copytree(folder, tmp_path / "models")


def read_card(path):
    """The metadata of a card, and its sections by heading."""
    text = (path / "README.md").read_text(encoding="utf-8")
    _, about, page = text.split("---\n", 2)
    title, *sections = re.split(r"^## ", page, flags=re.M)
    return yaml.safe_load(about), title.strip(), dict(section.split("\n\n", 1) for section in sections)


def test_a_card_says_what_the_folder_knows_and_what_nobody_stated(folder):
    about, title, sections = read_card(folder / "age")
    assert about["library_name"] == "aam"
    assert about["pipeline_tag"] == "tabular-regression"
    assert "license" not in about
    assert title == "# AAM model that predicts age"
    assert "Predicts `age`, a number" in sections["What it does"]
    assert "Reads these metadata columns beside the microbes: `sex`." in sections["What it does"]
    assert "- Trained on 40 samples (`samples.txt`), all reads, the first 150 nucleotides" in sections["Training data"]
    assert "- The table had 60 samples and 60 features." in sections["Training data"]
    assert "- Groups of training samples (subjects, studies): 10 by `subject`." in sections["Training data"]
    assert "20 samples that training did not see. Groups were kept whole: none is on both sides." in sections["Split protocol"]
    assert "fewer than" in sections["Limits"]
    assert "| mae | 3.142 |\n| r2 | not known |\n| mae of the baseline (median) | 7.5 |" in sections["Scores"]
    assert [name for name, text in sections.items() if "not stated" in text] == [
        "Training data",
        "Primers and region",
        "Licence",
        "Intended use",
    ]


def test_scores_of_a_card_are_those_that_a_hub_has_a_name_for_without_what_is_no_number(folder):
    found = {name: read_card(folder / name)[0]["model-index"][0]["results"][0] for name in KINDS}
    assert {name: result["task"]["type"] for name, result in found.items()} == {
        "age": "tabular-regression",
        "disease": "tabular-classification",
        "encoder": "feature-extraction",
    }
    metrics = {name: {score["type"]: score["value"] for score in result["metrics"]} for name, result in found.items()}
    assert metrics["age"] == {"mae": 3.142}
    assert metrics["disease"] == {"roc_auc": 0.81, "accuracy": 0.75}
    assert metrics["encoder"] == {"spearmanr": 0.5, "r_squared": 0.25, "mse": 0.01}
    assert "| auc | 0.81 |" in read_card(folder / "disease")[2]["Scores"]
    assert "An AUC of 0.5 is chance." in read_card(folder / "disease")[2]["Scores"]


@pytest.mark.parametrize("name", KINDS)
def test_a_card_has_no_ids_and_no_values_of_metadata(folder, name):
    text = (folder / name / "README.md").read_text(encoding="utf-8")
    metadata = pd.read_csv(folder / "metadata.tsv", sep="\t", index_col=0, dtype=str)
    values = {*metadata.index, *metadata["subject"], "male", "female", *metadata["disease"]}
    # Whole words: S1 is in no text by chance.
    assert values & set(re.findall(r"[\w.-]+", text)) == set()


@pytest.mark.parametrize("name", KINDS)
def test_what_was_said_is_kept_and_shown(models, name):
    place = models / name
    before = load(place)
    assert write_card(place, **{key: SAID[key] for key in ("license", "primers", "title")}) == place / "README.md"
    write_card(
        str(place), license="MIT", **{key: value for key, value in SAID.items() if key not in ("license", "primers", "title")}
    )
    about, title, sections = read_card(place)
    assert about["license"] == "mit"
    assert title == "# Age from stool"
    assert about["model-index"][0]["name"] == "Age from stool"
    assert "- Primers: 515F/806R\n- Region: 16S V4" in sections["Primers and region"]
    assert sections["Training data"].startswith(SAID["training_data"])
    assert SAID["split_protocol"] in sections["Split protocol"]
    assert sections["Scores"].endswith(f"\n\n{SAID['scores']}\n\n")
    assert sections["Intended use"].strip() == SAID["intended_use"]
    assert "not stated" not in (place / "README.md").read_text()
    assert json.loads((place / "card.json").read_text()) == {**SAID, "license": "MIT"}
    assert {path.name for path in place.iterdir()} <= set(FILES)
    # What was said is no part of what the model is, and goes with it.
    loaded = load(place)
    assert replace(loaded.info, said=CardOptions()) == before.info
    loaded.save(models / "again")
    assert (models / "again" / "README.md").read_bytes() == (place / "README.md").read_bytes()
    assert (models / "again" / "card.json").read_bytes() == (place / "card.json").read_bytes()


def test_a_card_that_is_written_again_says_the_same(models):
    first = (models / "age" / "README.md").read_bytes()
    write_card(models / "age")
    assert (models / "age" / "README.md").read_bytes() == first
    assert not (models / "age" / "card.json").exists()


def test_a_licence_that_the_hub_does_not_know_has_a_name_of_its_own(models):
    write_card(models / "age", license="Only for  people we like")
    about, _, sections = read_card(models / "age")
    assert (about["license"], about["license_name"]) == ("other", "Only for people we like")
    assert sections["Licence"].strip() == "Only for people we like"


@pytest.mark.parametrize("name", KINDS)
def test_the_code_of_a_card_runs(models, name, monkeypatch):
    place = models / name
    for file in ("table.biom", "metadata.tsv"):
        shutil.copy(models / file, place)
    monkeypatch.chdir(place)
    text = (place / "README.md").read_text(encoding="utf-8")
    names = {}
    exec(re.search(r"^```python\n(.*?)^```", text, re.M | re.S)[1], names)
    assert len(names["found"]) == len(names["novelty"]) == 60
    command = "aam embed" if name == "encoder" else "aam predict"
    assert f"{command} --model . --table table.biom" in text
    assert ("--metadata metadata.tsv" in text) == (name == "age")


def test_features_that_are_known_by_ids_are_read_by_them(folder):
    study = read_study(folder / "table.biom", metadata=folder / "metadata.tsv")
    problem = pose(without_sequences(study), TargetOptions(metadata_column="age"))
    fitted = EnsembleLearner(QUICK, jobs=1).fit(problem, LEARNED)
    text = card_text(fitted.info, None, {"weights": {}, "by_id": True})
    assert 'aam.read_study("table.biom", by_id=True)' in text
    assert "rep_seqs" not in text
    assert "How far a sample is from the training samples is not known" in text


ORIGIN = Origin(60, 60, 10, "subject", "test", 20, apart=True)


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        (None, "not stated"),
        (replace(ORIGIN, apart=False), "Some groups are on both sides, as the split was given"),
        (replace(ORIGIN, groups=None), "No groups were named: samples of one subject may be on both sides."),
        (replace(ORIGIN, held_out_seen=7), "that training did not see, of which a model that this one started from had seen 7."),
        (replace(ORIGIN, held_out="cross-fitted"), "each predicted by members that did not see it or its group."),
        (replace(ORIGIN, held_out="val"), "scores are of 20 samples that chose the best epoch, and so too good."),
    ],
)
def test_how_samples_were_kept_apart_is_told(folder, origin, said):
    info = replace(load(folder / "encoder").info, origin=origin)
    assert said in card_text(info, None, None).split("## Split protocol")[1].split("## ")[0]


def test_which_groups_and_samples_were_kept_apart_is_counted(folder):
    study = read_study(folder / "table.biom", metadata=folder / "metadata.tsv")
    info = load(folder / "age").info
    groups = study.labels("subject")
    mixed = info.scored({}, study, "subject", Split(LEARNED[::2], LEARNED[:0], LEARNED[1::2]), ("test", LEARNED[1::2]))
    assert not mixed.origin.apart
    assert mixed.origin.groups == len(set(groups[LEARNED[::2]]))
    # As if they had been pretrained on: the model knows all of LEARNED.
    assert mixed.origin.held_out_seen == len(LEARNED[1::2])
    crossed = info.scored({}, study, "subject", Split(LEARNED, LEARNED[:0], LEARNED[:0]), ("cross-fitted", LEARNED))
    assert (crossed.origin.apart, crossed.origin.held_out_seen) == (True, 0)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"license": 3}', "license"),
        ('{"colour": "red"}', "colour"),
        ('{"region": " "}', "region"),
        ("[]", "card.json is no object"),
        ("nothing", "Expecting value"),
        ("[" * 100_000, "card.json"),
    ],
)
@pytest.mark.parametrize("name", ["age", "encoder"])
def test_a_broken_file_of_what_was_said_is_one_line(models, name, content, why):
    (models / name / "card.json").write_text(content)
    for use in (load, write_card):
        with pytest.raises(InputError, match="not a complete model folder of AAM") as caught:
            use(models / name)
        assert why in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_card_is_of_a_model_and_says_something(models):
    with pytest.raises(InputError, match="`region` is empty: say it, or leave it out"):
        write_card(models / "age", region=" ")
    with pytest.raises(InputError, match=r"no model here, config\.json is missing"):
        write_card(models)
    (models / "age" / "model.safetensors").unlink()
    before = (models / "age" / "README.md").read_bytes()
    with pytest.raises(InputError, match="not a complete model folder"):
        write_card(models / "age", region="16S V4")
    assert (models / "age" / "README.md").read_bytes() == before
    with pytest.raises(TypeError):
        write_card(models / "encoder", colour="red")


def test_every_field_of_a_card_is_in_its_documentation():
    assert [field.name for field in fields(CardOptions) if f"`{field.name}`" not in write_card.__doc__] == []


@needs_huggingface_hub
@pytest.mark.parametrize("name", KINDS)
def test_a_hub_reads_the_card(models, name):
    from huggingface_hub import ModelCard

    write_card(models / name, **SAID)
    card = ModelCard.load(models / name / "README.md")
    assert card.data.license == "cc-by-4.0"
    assert card.data.library_name == "aam"
    assert card.data.model_name == "Age from stool"
    assert card.data.eval_results
    assert all(result.dataset_split == "test" for result in card.data.eval_results)
    # It writes the same metadata back.
    assert yaml.safe_load(card.data.to_yaml()) == read_card(models / name)[0]
