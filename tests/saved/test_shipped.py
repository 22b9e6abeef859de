"""Models that come with AAM go by their names wherever a model folder is given; a folder of that name goes first."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

import aam as library
from aam.data.sequences import reverse_complement, tokenize
from aam.errors import InputError
from aam.learners.pretraining import PretrainingLearner
from aam.options import EncoderOptions, FitOptions
from aam.saved import named
from aam.saved.load import load
from aam.saved.start import load_start
from aam.study.reading import read_study
from aam.tuning.identity import identity_of
from tests.support.commands import SMALL, TRANSFORMER, aam
from tests.support.studies import QUICK, simulated_study

NAME = "aam-16s-v4"


@pytest.fixture(scope="module")
def package(pretrained, tmp_path_factory):
    """The folder of models in the package, with an encoder that is saved in half precision."""
    folder = tmp_path_factory.mktemp("shipped")
    load(pretrained).save(folder / NAME, half=True)
    return folder


@pytest.fixture(autouse=True)
def elsewhere(package, tmp_path, monkeypatch):
    """Commands run in an empty folder."""
    monkeypatch.setattr(named, "SHIPPED", package)
    monkeypatch.chdir(tmp_path)


def test_half_precision_is_half_as_large_and_says_nearly_the_same(community, pretrained, package):
    study, exact = read_study(community / "table.biom"), load(pretrained)
    weights, whole = package / NAME / "model.safetensors", pretrained / "model" / "model.safetensors"
    assert {value.dtype for value in load_file(weights).values() if value.is_floating_point()} == {torch.float16}
    assert 0.45 < weights.stat().st_size / whole.stat().st_size < 0.6
    halved = load(package / NAME)
    assert {value.dtype for value in halved.encoder.state_dict().values() if value.is_floating_point()} == {torch.float32}
    expected, found = exact.embed(study), halved.embed(study)
    assert 0 < np.abs(found - expected).max() < 1e-2 * np.abs(expected).max()
    # Novelty is kept alike.
    np.testing.assert_array_equal(halved.novelty(study), exact.novelty(study))
    assert load_start(NAME, exact.info.options).encoder.keys() == exact.encoder.state_dict().keys()


def test_weights_beyond_half_precision_stay_as_they_are(pretrained, tmp_path):
    fitted = load(pretrained)
    name, value = next((name, value) for name, value in fitted.encoder.state_dict().items() if value.is_floating_point())
    with torch.no_grad():
        value.view(-1)[0] = 1e6
    fitted.save(tmp_path / "model", half=True)
    assert torch.equal(load(tmp_path / "model").encoder.state_dict()[name], value)


def test_python_takes_the_name(community, package):
    study = read_study(community / "table.biom", metadata=community / "metadata.tsv")
    expected = load(package / NAME).embed(study)
    for found in (library.load(NAME), library.from_pretrained(NAME)):
        np.testing.assert_array_equal(found.embed(study), expected)
    options = {"recipe": "transformer", "freeze_base": True, "fit_options": library.options.TrainFitOptions(epochs=1)}
    fitted = library.AAMRegressor(pretrained_encoder=NAME, **options).fit(study, "age").fitted_
    np.testing.assert_array_equal(
        fitted.encoder.state_dict()["asv_encoder.words.table"], load(NAME).encoder.asv_encoder.words.table
    )
    by_name, by_path = (identity_of([EncoderOptions(pretrained_encoder=one)], []) for one in (NAME, package / NAME))
    assert by_name == by_path
    with pytest.raises(InputError, match=f"`revision=main`: {NAME} comes with AAM, and has no revisions; leave it out"):
        library.from_pretrained(NAME, revision="main")


def test_a_name_that_is_none_is_told_with_those_that_are(community, tmp_path):
    also = f"or give the name of a model that comes with AAM: {NAME}"
    with pytest.raises(InputError, match=f"`folder=aam-16s-v3`: does not exist; check the path to this folder, {also}$"):
        library.load("aam-16s-v3")
    with pytest.raises(InputError, match=f"check the path, {also}$"):
        library.from_pretrained("aam-16s-v3")
    said = aam("embed", "--model", "aam-16s-v3", "--table", community / "table.biom", "--output", "e.tsv", code=2)
    assert said == f"error: --model aam-16s-v3: does not exist; check the path to this folder, {also}\n"


def test_commands_take_the_name(community, package):
    aam("embed", "--model", NAME, "--table", community / "table.biom", "--output", "e.tsv")
    aam("embed", "--model", package / NAME, "--table", community / "table.biom", "--output", "same.tsv")
    pd.testing.assert_frame_equal(pd.read_csv("e.tsv", sep="\t"), pd.read_csv("same.tsv", sep="\t"))
    data = ["--table", community / "table.biom", "--metadata", community / "metadata.tsv", "--metadata-column", "age"]
    start = [*TRANSFORMER, *data, "--pretrained-encoder", NAME, "--epochs", 2, *SMALL[6:], "--output-dir", "run"]
    assert f"training a transformer from the encoder in {NAME}" in aam(*start)
    # The record runs anywhere, and the run goes on; with another encoder it does not.
    assert yaml.safe_load(open("run/config.yaml", encoding="utf-8"))["pretrained_encoder"] == NAME  # noqa: PTH123, SIM115
    aam(*start, "--resume")
    said = aam("predict", "--model", NAME, "--table", community / "table.biom", "--output", "p.tsv", code=2)
    assert "an encoder, which predicts nothing" in said


def test_a_folder_of_the_name_goes_first_and_that_is_said(package, tmp_path, caplog):
    shutil.copytree(package / NAME, tmp_path / NAME)
    (tmp_path / NAME / "config.json").write_text("{}")
    with pytest.raises(InputError, match=f"`folder={NAME}`: format version None"):
        library.load(NAME)
    assert f"`folder={NAME}`: the folder of this name is taken, and not the model that comes with AAM" in caplog.text


def test_its_card_stays_as_it_is(package):
    before = (package / NAME / "README.md").read_bytes()
    said = aam("card", "--model", NAME, "--license", "mit", code=2)
    assert said.startswith(f"error: --model {NAME}: comes with AAM, and its card stays as it is: ")
    assert (package / NAME / "README.md").read_bytes() == before


def turned(study):
    """The same samples, read from the other strand."""
    sequences = tuple(map(reverse_complement, study.sequences))
    return replace(study, sequences=sequences, asv_tokens=tokenize(sequences, sequences, study.reads.max_bp))


def test_reverse_complements_are_refused_in_python_and_as_a_start(community, caplog):
    study = read_study(community / "table.biom", metadata=community / "metadata.tsv")
    other, model = turned(study), library.load(NAME)
    for embed in (model.embed, model.embed_asvs):
        with pytest.raises(InputError, match=r"^the sequences look reverse-complemented: \d+% of 60 ASVs are like those that the "):
            embed(other)
    learner = library.AAMRegressor(
        recipe="transformer", pretrained_encoder=NAME, fit_options=library.options.TrainFitOptions(epochs=1)
    )
    with pytest.raises(InputError, match=r"^the sequences look reverse-complemented"):
        learner.fit(other, "age")
    assert model.embed(study).shape == (60, 16)
    assert "another region" not in caplog.text


def test_reverse_complements_are_refused_by_an_ensemble_in_python(community, tmp_path):
    study = read_study(community / "table.biom", metadata=community / "metadata.tsv")
    library.AAMRegressor(ensemble_options=QUICK, n_jobs=1).fit(study, "age").fitted_.save(tmp_path / "age")
    model = library.load(tmp_path / "age")
    assert model.predict(study).shape == (60,)
    for ask in (model.predict, model.reader):
        with pytest.raises(InputError, match=r"^the sequences look reverse-complemented"):
            ask(turned(study))


def test_another_region_is_warned_of_once(caplog):
    other, model = simulated_study(99), library.load(NAME)
    for _ in range(2):
        model.embed(other)
    assert (
        caplog.text.count("% of 50 ASVs are of another region than those that the model learned from, or their first letter") == 1
    )
    # A model that has just been fitted to these samples is not asked.
    caplog.clear()
    learner = PretrainingLearner(model.info.options, options=FitOptions(epochs=1, batch_size=16), show=False)
    learner.fit(other, np.arange(24)).embed(turned(other))
    assert "another region" not in caplog.text
