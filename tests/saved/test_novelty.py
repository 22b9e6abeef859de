"""What novelty is measured from, in a file of the model folder: the same for every kind of model, and checked when it is read."""

import json
import pickle
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from aam.ensemble.novelty import MOST_ASVS, WIDTH
from aam.errors import InputError
from aam.learners.ensemble import EnsembleLearner
from aam.learners.pretraining import PretrainingLearner
from aam.learners.transformer import GivenEncoder, TransformerLearner
from aam.options import FitOptions, ModelOptions, ReadOptions, TargetOptions, TrainFitOptions
from aam.saved.load import load
from aam.saved.novelty import NOVELTY
from aam.study.problem import pose
from tests.support.released import RELEASED
from tests.support.studies import QUICK, problem_in, simulated_study, without_sequences

SHAPE = ModelOptions(embedding_dim=16, attention_heads=2, attention_layers=1)
LEARNED = np.arange(40)
OLD = ("encoder", "number", "classes", "ensemble")


@pytest.fixture(scope="module")
def study():
    return simulated_study()


@pytest.fixture(scope="module")
def encoder(study):
    return PretrainingLearner(SHAPE, options=FitOptions(epochs=1, batch_size=8)).fit(study, LEARNED)


@pytest.fixture(scope="module")
def folder(encoder, tmp_path_factory):
    encoder.save(tmp_path_factory.mktemp("novelty") / "model")
    return tmp_path_factory.getbasetemp() / "novelty0" / "model"


def fitted_of(kind, study, encoder):
    if kind == "encoder":
        return encoder
    if kind == "ensemble":
        return EnsembleLearner(QUICK, jobs=1).fit(problem_in(study), LEARNED)
    learner = TransformerLearner(SHAPE, options=TrainFitOptions(epochs=1, batch_size=8), start=GivenEncoder(encoder))
    return learner.fit(pose(study, TargetOptions(metadata_column="age"), "subject"), LEARNED)


@pytest.mark.parametrize("kind", ["encoder", "transformer", "ensemble"])
def test_every_model_knows_novelty_and_keeps_it(kind, study, encoder, tmp_path):
    fitted = fitted_of(kind, study, encoder)
    fitted.save(tmp_path / "model")
    assert (tmp_path / "model" / NOVELTY).is_file()
    loaded, elsewhere = load(tmp_path / "model"), simulated_study(99, n_samples=12)
    for model in (fitted, loaded, pickle.loads(pickle.dumps(fitted))):
        assert not model.measure(study).out_of_distribution[LEARNED].any()
        assert model.measure(elsewhere).out_of_distribution.all()
    for name, column in loaded.measure(elsewhere).columns().items():
        np.testing.assert_array_equal(column, fitted.measure(elsewhere).columns()[name])


def test_reads_and_asvs_of_rarefied_samples(study, tmp_path):
    rarefied = study.read_as(ReadOptions(sampling_depth=500))
    fitted = PretrainingLearner(SHAPE, options=FitOptions(epochs=1, batch_size=8, seed=3)).fit(rarefied, LEARNED)
    fitted.save(tmp_path / "model")
    measured = load(tmp_path / "model").measure(study)
    assert set(measured.reads) == {500}
    np.testing.assert_array_equal(measured.sizes, fitted.measure(rarefied).sizes)


def test_features_without_sequences_have_reads_and_a_number(study, tmp_path):
    named = without_sequences(study)
    EnsembleLearner(QUICK, jobs=1).fit(problem_in(named), LEARNED).save(tmp_path / "model")
    measured = load(tmp_path / "model").measure(named)
    assert measured.distance is None
    assert measured.known.least_reads > 1


@pytest.mark.parametrize("name", OLD)
def test_what_an_older_model_does_not_know_is_not_claimed(name, study):
    loaded = load(RELEASED / "0.1.0" / name)
    measured = loaded.measure(study)
    if name != "ensemble":
        assert measured is loaded.known is None
        return
    assert list(measured.columns()) == ["distance_to_training", "out_of_distribution"]


CHANGES = {
    "no letters": lambda arrays: arrays.pop("letters"),
    "no least": lambda arrays: arrays.pop("least_reads"),
    "another array": lambda arrays: arrays.update(more=np.zeros(2)),
    "narrower": lambda arrays: arrays.update({"words.directions": arrays["words.directions"][:, 1:].copy()}),
    "wider": lambda arrays: arrays.update(
        {
            "words.directions": np.zeros((4096, WIDTH + 1), np.float32),
            "words.shift": np.zeros(WIDTH + 1, np.float32),
        }
    ),
    "too many": lambda arrays: arrays.update(letters=np.zeros((MOST_ASVS + 1, arrays["letters"].shape[1]), np.uint8)),
    "none": lambda arrays: arrays.update(letters=arrays["letters"][:0].copy()),
    "no letter": lambda arrays: arrays.update(letters=arrays["letters"] | 15),
    "not a number": lambda arrays: arrays.update({"words.directions": arrays["words.directions"] * np.float16(np.nan)}),
    "too large": lambda arrays: arrays.update({"words.shift": arrays["words.shift"] + np.float32(1e30)}),
    "no limit": lambda arrays: arrays.update(limit=np.array(0.0)),
    "a limit that is not one": lambda arrays: arrays.update(limit=np.array(np.nan)),
    "several limits": lambda arrays: arrays.update(limit=np.array([1.0, 2.0])),
    "another type": lambda arrays: arrays.update(letters=arrays["letters"].astype(np.float32)),
    "least of another type": lambda arrays: arrays.update(least_asvs=np.array(3.0)),
    "less than nothing": lambda arrays: arrays.update(least_asvs=np.array(-3)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_arrays_that_are_not_those_are_one_line(change, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    arrays = load_file(folder / NOVELTY)
    CHANGES[change](arrays)
    save_file(arrays, tmp_path / "model" / NOVELTY)
    with pytest.raises(InputError, match=r"not a complete model folder of AAM \(ValueError: novelty.safetensors: ") as caught:
        load(tmp_path / "model")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_none_or_missing_is_one_line(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "model")
    place, whole = tmp_path / "model" / NOVELTY, (folder / NOVELTY).read_bytes()
    for content in (b"", whole[:100], whole[:-1], (2**60).to_bytes(8, "little") + whole[8:], pickle.dumps({})):
        place.write_bytes(content)
        with pytest.raises(InputError, match="not a complete model folder"):
            load(tmp_path / "model")
    place.unlink()
    with pytest.raises(InputError, match=r"novelty.safetensors"):
        load(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "model" / "config.json").write_text(json.dumps({**config, "knows_novelty": False}))
    assert load(tmp_path / "model").known is None
