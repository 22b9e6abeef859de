"""Which options are searched, and what is said of a space that cannot be."""

import re
from dataclasses import replace

import numpy as np
import pytest

from aam.errors import InputError
from aam.learners.ensemble import EnsembleLearner
from aam.learners.transformer import TransformerLearner
from aam.options import EnsembleOptions, ModelOptions, TrainFitOptions
from aam.tuning.space import DEFAULT_SPACE, Knob, default_space, read_space
from aam.tuning.tunable import TunedEnsemble, TunedTransformer

ENSEMBLE, TRANSFORMER = TunedEnsemble(EnsembleLearner()), TunedTransformer(TransformerLearner())


def space_in(tmp_path, text, tunable=ENSEMBLE):
    path = tmp_path / "space.yaml"
    path.write_text(text)
    return read_space(path, tunable)


@pytest.mark.parametrize("tunable", [ENSEMBLE, TRANSFORMER], ids=lambda tunable: tunable.recipe)
def test_every_value_of_the_default_space_can_be_fitted_and_the_default_is_one(tunable):
    space = default_space(tunable)
    assert {knob.name for knob in space} == set(DEFAULT_SPACE[tunable.recipe])
    for knob in space:
        assert tunable.base[knob.name] in knob.values
        for value in knob.values:
            assert tunable.with_values({knob.name: value}).base == {**tunable.base, knob.name: value}


def test_what_is_given_another_value_is_not_searched_by_default():
    given = TunedEnsemble(EnsembleLearner(EnsembleOptions(network_dim=16, forest_trees=5)))
    assert {knob.name for knob in default_space(given)} == set(DEFAULT_SPACE["ensemble"]) - {"network_dim"}


def test_the_shape_of_a_given_encoder_is_not_searched():
    given = TunedTransformer(TransformerLearner(start=object(), freeze_base=True))
    assert not {"embedding_dim", "attention_layers", "nuc_penalty", "augment"} & set(given.base)
    assert {"dropout", "lr"} <= set(given.base)


def test_lists_hold_what_is_given_and_ranges_are_whole_where_the_option_is(tmp_path):
    text = "known_asv_samples: [2, 5]\nnetwork_lr: {low: 1e-3, high: 0.008, log: true}\nforest_trees: {low: 100, high: 300}\n"
    few, rate, trees = space_in(tmp_path, text)
    assert few == Knob("known_asv_samples", (3, 2, 5))
    assert rate == Knob("network_lr", (), 1e-3, 0.008, log=True)
    assert trees == Knob("forest_trees", (), 100, 300, whole=True)
    assert [rate.holds(value) for value in (0.001, 0.01)] == [True, False]


def test_numbers_that_yaml_takes_for_text_are_numbers(tmp_path):
    (knob,) = space_in(tmp_path, "lr: [1e-3, 2e-3]", TRANSFORMER)
    assert knob.values == (TrainFitOptions.lr, 0.001, 0.002)


WRONG = [
    ("netwok_lr: [0.1]", "netwok_lr: is no option that can be searched with `recipe=ensemble`; near it are network_lr"),
    ("lr: [0.1]", "lr: is no option that can be searched with `recipe=ensemble`; "),
    ("zzz: [1]", "these can: asv_dropout, augment, boosting_lr"),
    ("cross_fit_folds: [2, 5]", "cross_fit_folds: trials are compared on the same folds"),
    ("known_asv_samples: [2, many]", "known_asv_samples: `known_asv_samples='many'`: must be a whole number"),
    ("known_asv_samples: [0]", "known_asv_samples: `known_asv_samples=0`: must be at least 1"),
    ("network_dim: [12]", "network_dim: `network_dim=12`: must be a multiple of 8"),
    ("trees: [yes, perhaps]", "trees: `trees='perhaps'`: must be True or False"),
    ("trees: {low: 0, high: 1}", "trees: has no range, as it is no number; give a list of values"),
    ("augment: [rarefied]", "augment: `augment=rarefied`: rarefied is not one of"),
    ("network_lr: 0.1", "network_lr: must be a list of values, or a range"),
    ("network_lr: []", "network_lr: must be a list of values, or a range"),
    ("network_lr: {low: 0.1}", "network_lr: must be a list of values, or a range"),
    ("network_lr: {low: 0.1, high: 0.2, step: 1}", "network_lr: must be a list of values, or a range"),
    ("network_lr: {low: 0.2, high: 0.1}", "network_lr: low must be below high"),
    ("network_lr: {low: a, high: 0.1}", "network_lr: low: `network_lr='a'`: must be a number"),
    ("network_lr: {low: 0.1, high: 0.2, log: maybe}", "network_lr: log: must be true or false, not 'maybe'"),
    ("network_weight_decay: {low: 0, high: 1, log: true}", "network_weight_decay: low must be above 0 with log: true"),
    ("network_lr: [[0.1]]", "network_lr: [0.1]: must be one value"),
    ("network_lr: [0.1, 0.1]", "network_lr: has a value twice"),
    ("3: [1]", "3: is no option that can be searched"),
    ("- network_lr", "must name options, with a list of values or a range for each"),
    ("", "must name options, with a list of values or a range for each"),
    ("network_lr: [", "cannot be read as YAML: "),
    ("network_lr: [2001-99-99]", "cannot be read as YAML: month must be in 1..12"),
    ("network_lr: [0.1]\nnetwork_lr: [0.2]", "cannot be read as YAML: 'network_lr' is there twice"),
    ("network_lr: {low: 0.1, high: .inf}", "network_lr: high: inf: must be a finite number"),
    ("network_weight_decay: [0.1, .nan]", "network_weight_decay: nan: must be a finite number"),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[text for text, _ in WRONG])
def test_what_is_wrong_with_a_space_is_said_in_a_line_with_its_option(tmp_path, text, message):
    with pytest.raises(InputError, match=re.escape(message)) as error:
        space_in(tmp_path, text)
    assert str(error.value).startswith(f"`space={tmp_path / 'space.yaml'}`: ")
    assert "\n" not in str(error.value)


def test_an_option_is_changed_where_it_belongs():
    model = ModelOptions(embedding_dim=32)
    given = TunedTransformer(replace(TRANSFORMER.learner, model=model))
    changed = given.with_values({"lr": 0.01, "dropout": 0.2, "augment": "mixup"})
    assert (changed.learner.options.lr, changed.learner.model.dropout, changed.learner.augment.augment) == (0.01, 0.2, "mixup")
    assert changed.learner.model.embedding_dim == 32
    assert np.isclose(TRANSFORMER.learner.options.lr, TrainFitOptions.lr)
