"""What a search is told apart by."""

from dataclasses import replace

import pytest

from aam.options import (
    EncoderOptions,
    EnsembleOptions,
    ModelOptions,
    ReadOptions,
    SampleOptions,
    TargetOptions,
    TrainComputeOptions,
    TrainFitOptions,
    TreeOptions,
)
from aam.tuning.identity import identity_of
from aam.tuning.space import Knob

SPACE = (Knob("lr", (), 0.1, 0.2),)
TARGET = TargetOptions(metadata_column="age", categorical_columns=("sex",))

OTHERS = [
    (EnsembleOptions(), {"cross_fit_folds": 3}),
    (TrainFitOptions(), {"best_metric": "rmse"}),
    (TrainFitOptions(), {"find_lr": True}),
    (TrainFitOptions(), {"lr": 0.15}),
    (SampleOptions(), {"val_fraction": 0.3}),
    (ReadOptions(), {"sampling_depth": 500}),
    (TARGET, {"categorical_columns": (), "numeric_columns": ("sex",)}),
    (TARGET, {"fusion": "gated"}),
    (TrainComputeOptions(), {"mixed_precision": "bf16"}),
    (EncoderOptions(pretrained_encoder="somewhere"), {"freeze_base": True}),
]


@pytest.mark.parametrize(("part", "changes"), OTHERS, ids=[next(iter(changes)) for _, changes in OTHERS])
def test_whatever_decides_a_score_is_in_it(tmp_path, monkeypatch, part, changes):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "somewhere").mkdir()
    one, other = (identity_of([options, ModelOptions()], SPACE) for options in (part, replace(part, **changes)))
    assert {name for name in one if one[name] != other[name]} == set(changes)


def test_speed_places_and_what_is_not_used_are_not_in_it():
    parts = [TrainComputeOptions(), SampleOptions(), TrainFitOptions()]
    others = [
        TrainComputeOptions(devices=1, num_workers=2, asv_chunk_size=8),
        SampleOptions(metadata=("elsewhere.tsv",)),
        TrainFitOptions(patience=2),
    ]
    assert identity_of(parts, SPACE, ["patience"]) == identity_of(others, SPACE, ["patience"])


def test_spaces_that_differ_in_the_last_digit_differ():
    assert identity_of([], SPACE) != identity_of([], [replace(SPACE[0], high=0.20000001)])


@pytest.mark.parametrize(
    ("option", "kind", "name"),
    [
        ("pretrained_encoder", EncoderOptions, "model.safetensors"),
        ("init_from", EncoderOptions, "model.safetensors"),
        ("tree", TreeOptions, ""),
    ],
)
def test_a_file_or_a_model_counts_by_its_content(tmp_path, option, kind, name):
    told = []
    for number, content in enumerate(("a", "a", "b")):
        path = tmp_path / str(number) / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        told.append(identity_of([kind(**{option: tmp_path / str(number)})], SPACE)[option])
    assert told[0] == told[1] != told[2]
