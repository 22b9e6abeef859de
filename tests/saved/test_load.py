"""Every model folder opens in one way, and says what it said when it was written."""

import shutil

import numpy as np
import pandas as pd
import pytest

from aam.errors import InputError
from aam.saved.ensemble import FittedEnsemble
from aam.saved.load import load, load_encoder, load_folder
from aam.saved.transformer import FittedEncoder, FittedTransformer
from aam.study.reading import read_study
from tests.support.released import RELEASED

VERSIONS = sorted(path.name for path in RELEASED.iterdir())
KINDS = {"encoder": FittedEncoder, "number": FittedTransformer, "classes": FittedTransformer, "ensemble": FittedEnsemble}


def opened(version, name):
    folder = RELEASED / version
    return load(folder / name), read_study(folder / "table.biom", metadata=folder / "metadata.tsv")


def kept(version, name):
    return pd.read_csv(RELEASED / version / f"{name}.tsv", sep="\t", index_col=0)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_what_is_in_a_folder_is_told_by_it(version, name, kind):
    assert type(load(str(RELEASED / version / name))) is kind


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["number", "ensemble"])
def test_numbers_and_their_intervals_are_what_they_were(version, name):
    fitted, study = opened(version, name)
    then, said = kept(version, name)["prediction"], fitted.predict(study)
    assert list(then.index) == list(study.table.sample_ids)
    np.testing.assert_allclose(said, then, rtol=1e-3, atol=1e-4)
    beside = fitted.target.target.interval_table(said, fitted.limit())
    for column, values in beside.items():
        np.testing.assert_allclose(values, kept(version, f"{name}_intervals")[column], rtol=1e-3, atol=1e-3)
    rows = np.array([7, 3])
    np.testing.assert_allclose(fitted.predict(study, rows), said[rows], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("version", VERSIONS)
def test_classes_and_embeddings_are_what_they_were(version):
    fitted, study = opened(version, "classes")
    probabilities = fitted.predict(study)
    assert list(kept(version, "classes_probabilities").columns) == list(fitted.target.target.classes)
    np.testing.assert_allclose(probabilities, kept(version, "classes_probabilities"), rtol=1e-3, atol=1e-4)
    assert list(fitted.target.target.names(probabilities)) == list(kept(version, "classes")["prediction"])
    encoder, study = opened(version, "encoder")
    np.testing.assert_allclose(encoder.embed(study), kept(version, "encoder"), rtol=1e-3, atol=1e-4)
    assert encoder.embed_asvs(study).shape == (len(study.asv_tokens), encoder.info.options.embedding_dim)


def test_the_folder_of_a_run_has_a_model_folder(tmp_path):
    shutil.copytree(RELEASED / VERSIONS[-1] / "number", tmp_path / "run" / "model")
    assert load(tmp_path / "run").info == load(tmp_path / "run" / "model").info


def test_what_is_no_model_is_told_by_the_name_of_its_argument(tmp_path):
    with pytest.raises(InputError, match=r"^`folder=.*config.json is missing"):
        load(tmp_path)
    with pytest.raises(InputError, match=r"^`folder=.*nowhere`: does not exist; check the path to this folder"):
        load(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"^`model=.*config.json is missing"):
        load_folder(tmp_path, "model")
    with pytest.raises(InputError, match=r"^`folder`: must be a path"):
        load(3)


def test_an_encoder_is_that_of_a_transformer_and_an_ensemble_has_none():
    folder = RELEASED / VERSIONS[-1]
    assert load_encoder(folder / "number", "pretrained_encoder").info.target is not None
    with pytest.raises(InputError, match=r"^`pretrained_encoder=.*ensemble, which has no encoder"):
        load_encoder(folder / "ensemble", "pretrained_encoder")
    encoder, study = opened(VERSIONS[-1], "encoder")
    with pytest.raises(InputError, match="an encoder, which predicts nothing"):
        encoder.predict(study)
    ensemble, study = opened(VERSIONS[-1], "ensemble")
    with pytest.raises(InputError, match="has no embeddings; train with `recipe=transformer`"):
        ensemble.embed(study)
