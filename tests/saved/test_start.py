"""Weights of an earlier run that a new one starts from."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from aam.errors import InputError
from aam.learners.pretraining import PretrainingLearner
from aam.learners.transformer import TransformerLearner
from aam.learners.workspace import Workspace
from aam.options import FitOptions, ModelOptions, TrainFitOptions
from aam.saved.start import load_start
from tests.support.studies import problem_in, simulated_study

SHAPE = ModelOptions(embedding_dim=16, attention_heads=2, attention_layers=1)
# A learning rate so low that weights stay where they start.
STILL = {"epochs": 1, "batch_size": 16, "lr": 1e-9, "weight_decay": 0.0}


@pytest.fixture(scope="module")
def study():
    return simulated_study()


@pytest.fixture(scope="module")
def run(study, tmp_path_factory):
    """A trained transformer as a run leaves it: checkpoints and the model folder."""
    folder = tmp_path_factory.mktemp("run")
    learner = TransformerLearner(SHAPE, options=TrainFitOptions(epochs=2, batch_size=16), workspace=Workspace(folder), show=False)
    fitted = learner.fit(problem_in(study), np.arange(30))
    fitted.save(folder / "model")
    return folder, fitted


def sources(folder):
    return {"run": folder, "model": folder / "model", "checkpoint": folder / "checkpoints" / "best.ckpt"}


@pytest.mark.parametrize("source", ["run", "model", "checkpoint"])
def test_a_run_starts_where_the_other_ended(study, run, source):
    folder, before = run
    weights = load_start(sources(folder)[source], SHAPE)
    learner = TransformerLearner(SHAPE, options=TrainFitOptions(**STILL, seed=5), weights=weights)
    after = learner.fit(problem_in(study), np.arange(30))
    fresh = replace(learner, weights=None).fit(problem_in(study), np.arange(30))
    kept, other = (fitted.predictor.state_dict() for fitted in (after, fresh))
    for name, value in before.predictor.state_dict().items():
        torch.testing.assert_close(kept[name], value, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(other["head.mlp.0.weight"], kept["head.mlp.0.weight"], atol=1e-3)
    if source != "checkpoint":
        assert set(study.ids(np.arange(30))) <= set(after.info.learned_from)


def test_an_encoder_takes_no_head_and_classes_get_a_fresh_one(study, run):
    folder, before = run
    weights = load_start(folder, SHAPE)
    encoder = PretrainingLearner(SHAPE, options=FitOptions(**STILL), weights=weights).fit(study, np.arange(30)).encoder
    classes = TransformerLearner(SHAPE, options=TrainFitOptions(**STILL, seed=5), weights=weights)
    head = classes.fit(problem_in(study, classes=True), np.arange(30)).predictor.head
    for name, value in before.encoder.state_dict().items():
        torch.testing.assert_close(encoder.state_dict()[name], value, atol=1e-5, rtol=1e-4)
    assert head.mlp[3].weight.shape == (2, 16)
    assert not torch.allclose(head.mlp[0].weight, before.predictor.head.mlp[0].weight, atol=1e-3)


@pytest.mark.parametrize("source", ["run", "checkpoint"])
@pytest.mark.parametrize("change", [{"embedding_dim": 32}, {"attention_heads": 4}, {"attention_layers": 2}])
def test_another_shape_is_one_line_that_says_what_to_give(run, source, change):
    name = next(iter(change))
    with pytest.raises(InputError, match=f"`init_from=.*`: its model has `{name}={getattr(SHAPE, name)}`, this run {change[name]}"):
        load_start(sources(run[0])[source], replace(SHAPE, **change))


def test_sizes_are_compared_where_a_checkpoint_says_no_shape(study, run, tmp_path):
    content = torch.load(run[0] / "checkpoints" / "best.ckpt", weights_only=True)
    del content["shape"]
    torch.save(content, tmp_path / "old.ckpt")
    wide = replace(SHAPE, embedding_dim=32)
    learner = TransformerLearner(wide, options=TrainFitOptions(**STILL), weights=load_start(tmp_path / "old.ckpt", wide))
    with pytest.raises(InputError, match="its weights have other sizes than this run's model: "):
        learner.fit(problem_in(study), np.arange(30))


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_what_is_no_run_is_one_line(tmp_path, content):
    (tmp_path / "x.ckpt").write_bytes(content)
    with pytest.raises(InputError, match="no checkpoint of AAM that can be read"):
        load_start(tmp_path / "x.ckpt", SHAPE)
    with pytest.raises(InputError, match="no model here"):
        load_start(tmp_path, SHAPE)
