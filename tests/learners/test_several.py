"""One transformer of several targets: what it learns together is what each would say alone, and no missing value counts."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from aam.errors import InputError
from aam.learners.ensemble import EnsembleLearner
from aam.learners.transformer import GivenEncoder, TransformerLearner, calibrated
from aam.options import AugmentOptions, ModelOptions, TargetOptions, TrainFitOptions
from aam.saved.load import load
from aam.study.joint_target import together
from aam.study.problem import Problem
from aam.study.several import JointProblem, own_rows, pose_several
from tests.support.studies import QUICK, problem_in, simulated_study

SHAPE = ModelOptions(embedding_dim=16, attention_heads=2, attention_layers=1)
LEARNER = TransformerLearner(SHAPE, options=TrainFitOptions(epochs=2, batch_size=8))
LEARNED, OTHERS = np.arange(36), np.arange(36, 48)
STAGES = ("1", "2", "3", "4")
COLUMNS = TargetOptions(metadata_column="load,stage,site", class_columns=("stage", "site"))


@pytest.fixture(scope="module")
def study():
    """A number, ordered classes and two classes, each of which some samples lack."""
    study = simulated_study()
    number = problem_in(study).truth
    stage = np.array(STAGES, dtype=object)[np.digitize(number, np.quantile(number, [0.25, 0.5, 0.75]))]
    columns = {"load": number, "stage": stage, "site": np.where(number > 0, "x", "y")}
    metadata = pd.DataFrame(columns, index=list(study.table.sample_ids), dtype=object)
    for place, column in enumerate(metadata):
        metadata.loc[metadata.index[place::5], column] = np.nan
    metadata["load"] = metadata["load"].astype(float)
    return replace(study, metadata=metadata)


@pytest.mark.parametrize("classes", [False, True])
def test_one_target_learned_together_is_that_target_alone(classes):
    problem = problem_in(simulated_study(), classes=classes)
    alone, result = LEARNER.fit_with_history(problem, LEARNED)
    (fitted,), joint = LEARNER.fit_at_once(JointProblem.of({"load": problem}, {}), LEARNED)
    assert [epoch["val/loss"] for epoch in joint.history] == pytest.approx(
        [epoch["val/loss"] for epoch in result.history], rel=1e-5
    )
    name = "accuracy" if classes else "mae"
    assert joint.best[f"val/target_load_{name}"] == pytest.approx(joint.history[joint.best_epoch - 1][f"val/target_load_{name}"])
    # Each by its own rule of the best epoch, where these are the same.
    if joint.best_epoch == result.best_epoch:
        assert joint.best[f"val/target_load_{name}"] == pytest.approx(result.best[f"val/target_{name}"], rel=1e-5)
        np.testing.assert_allclose(fitted.predict(problem.study), alone.predict(problem.study), rtol=1e-4, atol=1e-5)
    assert fitted.target == alone.target


def test_each_target_is_fitted_scored_and_saved_by_itself(study, tmp_path):
    options = replace(COLUMNS, loss_type="ordinal", class_columns=("stage",), metadata_column="load,stage")
    problems = pose_several(study, options)
    fitted = LEARNER.fit_several(problems, LEARNED)
    assert list(fitted) == ["load", "stage"]
    for name, model in fitted.items():
        problem, rows = problems[name], own_rows(problems[name], OTHERS)
        assert model.target.metadata_column == name
        assert set(model.info.learned_from) == set(study.ids(LEARNED))
        said = model.predict(study)
        promised = calibrated(model, problem, rows, said[rows])
        promised.save(tmp_path / name)
        again = load(tmp_path / name)
        np.testing.assert_allclose(again.predict(study), said, rtol=1e-5, atol=1e-6)
        assert again.target == promised.target
    assert fitted["stage"].target.target.loss_type == "ordinal"
    # What they say is what the joint head said.
    np.testing.assert_allclose(fitted["stage"].predict(study).sum(axis=1), 1)


def test_what_a_sample_lacks_changes_nothing(study):
    problems = pose_several(study, COLUMNS)
    joint = JointProblem.of(problems, {"load": 2.0}).fitted_to(LEARNED)
    target, true = joint.target, torch.from_numpy(joint.learned)
    assert true.isnan().any(dim=0).all()
    said = torch.randn(len(study), target.head_outputs, requires_grad=True)
    loss = target.loss(said, true)
    loss.backward()
    # By hand: means over those that have a value, weighted, times the samples.
    parts = target.apart(said.detach())
    expected = 0.0
    for place, (part, weight) in enumerate(zip(joint.parts, target.weights, strict=True)):
        known = torch.from_numpy(part.known)
        learned = torch.from_numpy(part.learned[part.known])
        expected += weight * part.target.losses(parts[place][known], learned).mean()
    assert loss.item() == pytest.approx(len(study) * float(expected), rel=1e-5)
    # Other predictions of what is missing: neither the loss nor a gradient sees them.
    poisoned = said.detach().clone()
    for place, (own, _) in enumerate(target.places):
        poisoned[true[:, place].isnan(), own] = 1e6
        assert (said.grad[true[:, place].isnan(), own] == 0).all()
    assert target.loss(poisoned, true).item() == pytest.approx(loss.item(), rel=1e-6)


def test_what_stands_for_a_missing_value_is_not_read():
    known = [np.array([True, False, True]), np.array([False, True, True])]
    here = together([np.array([0.5, 9e9, 1.0]), np.array([-1, 0, 2])], known)
    there = together([np.array([0.5, np.nan, 1.0]), np.array([7, 0, 2])], known)
    np.testing.assert_array_equal(here, there)
    np.testing.assert_array_equal(here, np.array([[0.5, np.nan], [np.nan, 0], [1, 2]], dtype=np.float32))


def test_a_target_that_a_batch_lacks_adds_nothing(study):
    joint = JointProblem.of(pose_several(study, COLUMNS), {}).fitted_to(LEARNED)
    target, true = joint.target, torch.from_numpy(joint.learned[:8]).clone()
    true[:, 1:] = torch.nan
    said = torch.randn(8, target.head_outputs, requires_grad=True)
    target.loss(said, true).backward()
    own, _ = target.places[0]
    assert said.grad.isfinite().all() and (said.grad[:, own] != 0).any()
    others = [place for place in range(target.head_outputs) if place not in range(own.start, own.stop)]
    assert (said.grad[:, others] == 0).all()
    true[:] = torch.nan
    said = torch.randn(8, target.head_outputs, requires_grad=True)
    loss = target.loss(said, true)
    loss.backward()
    assert loss.item() == 0 and (said.grad == 0).all()


def test_values_that_a_sample_lacks_are_not_learned(study):
    """The truth behind a missing value: a fit that saw it would be another."""
    problems = pose_several(study, COLUMNS)
    hidden = {}
    for name, problem in problems.items():
        # Known to nobody, of samples that are not learned from and of those without a value.
        truth = problem.truth.copy()
        truth[OTHERS] = problem.target.missing
        hidden[name] = replace(problem, truth=truth)
    here, there = (LEARNER.fit_several(some, LEARNED) for some in (problems, hidden))
    for name in problems:
        np.testing.assert_array_equal(here[name].predict(study), there[name].predict(study))


def test_a_frozen_base_and_ordered_classes_with_steps_of_their_own(study):
    start = GivenEncoder(LEARNER.fit(problem_in(study), LEARNED))
    learner = replace(LEARNER, start=start, freeze_base=True)
    problems = pose_several(study, COLUMNS)
    problems["stage"] = replace(problems["stage"], target=problems["stage"].target.ordered())
    fitted = learner.fit_several(problems, LEARNED)
    heads = {name: model.predictor.head for name, model in fitted.items()}
    assert [len(head.mlp) for head in heads.values()] == [4, 5, 4]
    assert heads["stage"].mlp[4].steps.shape == (2,)
    assert fitted["site"].predict(study).shape == (48, 2)


def test_an_ensemble_of_each_target_is_that_of_its_own_samples(study):
    problem = pose_several(study, COLUMNS)["stage"]
    rows = own_rows(problem, LEARNED)
    fitted = EnsembleLearner(QUICK, jobs=1).fit(problem, rows)
    # As if the samples without a value were not there.
    kept = study.rows[problem.known]
    alone = replace(problem, truth=problem.truth.copy())
    alone.truth[~problem.known] = 0
    again = EnsembleLearner(QUICK, jobs=1).fit(alone, rows)
    np.testing.assert_array_equal(fitted.predict(study, kept), again.predict(study, kept))
    assert set(fitted.info.learned_from) == set(study.ids(rows))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"metadata_column": "load,,site"}, "each once"),
        ({"metadata_column": "load,load,site"}, "each once"),
        ({"metadata_column": "load,stage", "class_columns": ("stage", "site")}, "site is not in `metadata_column=load,stage`"),
        ({"metadata_column": "load,nothing", "class_columns": ("nothing",)}, "no column nothing"),
        ({"metadata_column": "stage,site"}, "names every column"),
        ({"metadata_column": "stage"}, "pass `classifier`"),
        ({"classifier": True}, "choose one"),
        ({"target_weights": "load=0"}, "weights above 0"),
        ({"target_weights": "age=2"}, "age is not predicted"),
        ({"class_weights": "x=2"}, "names classes of one column"),
        ({"categorical_columns": ("site",)}, "this is the column to predict"),
        ({"loss_type": "ordinal", "class_order": "x,y"}, "names classes of one column"),
    ],
)
def test_columns_that_cannot_be_learned_together_are_one_line(study, options, said):
    with pytest.raises(InputError, match=said) as error:
        pose_several(study, replace(COLUMNS, **options))
    assert "\n" not in str(error.value)


def test_names_that_cannot_be_folders_and_columns_without_values_are_one_line(study):
    metadata = study.metadata.assign(**{"a/b": 1.0, "..": 1.0, "load_scores": 1.0, "empty": np.nan})
    named = replace(study, metadata=metadata)
    for other, said in (
        ("a/b", "rename it"),
        ("..", "rename it"),
        ("load_scores", "rename one"),
        ("empty", "no sample has a value"),
    ):
        with pytest.raises(InputError, match=said):
            pose_several(named, TargetOptions(metadata_column=f"load,{other}"))
    # A column that is called so is one column.
    metadata = study.metadata.assign(**{"load,site": np.arange(48.0)})
    assert list(pose_several(replace(study, metadata=metadata), TargetOptions(metadata_column="load,site"))) == ["load,site"]


def test_fits_of_several_targets_that_cannot_be_are_one_line(study):
    problems = pose_several(study, COLUMNS)
    with pytest.raises(InputError, match="column load: no sample of the train part"):
        LEARNER.fit_several(problems, np.arange(0, 45, 5))
    with pytest.raises(InputError, match="posed on one study"):
        LEARNER.fit_several({**problems, "load": problems["load"].on(replace(study))}, LEARNED)
    for augment, said in (("mixup", "mixes samples"), ("auto", "is chosen by one target")):
        with pytest.raises(InputError, match=said):
            replace(LEARNER, augment=AugmentOptions(augment=augment)).fit_several(problems, LEARNED)
    with pytest.raises(InputError, match="not measured in this run"):
        replace(LEARNER, options=TrainFitOptions(best_metric="mae")).fit_several(problems, LEARNED)
    assert isinstance(problems["load"], Problem)


def test_augmentation_that_mixes_nothing_goes_with_several_targets(study):
    learner = replace(LEARNER, augment=AugmentOptions(augment="rarefy,dropout"))
    assert set(learner.fit_several(pose_several(study, COLUMNS), LEARNED)) == {"load", "stage", "site"}
