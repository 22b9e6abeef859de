"""Model folders and checkpoints from anywhere: nothing in them is executed, and what does not fit is one line."""

import json
import pickle
import re

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from aam.cli import main
from aam.data.simulate import simulate, write_simulation
from aam.errors import InputError
from aam.models import SequenceEncoder
from aam.options import ModelOptions, ReadOptions
from aam.saved.info import ModelInfo, TargetInfo
from aam.saved.load import load
from aam.saved.transformer import FittedTransformer, build_predictor
from aam.study.covariates import Covariates
from aam.study.targets import RegressionTarget
from tests.support.hostile import Command

OPTIONS = ModelOptions(embedding_dim=16, attention_heads=2, attention_layers=1)


@pytest.fixture
def folder(tmp_path):
    target = TargetInfo("age", RegressionTarget("zscore", 40.0, 10.0), Covariates({"sex": ("f", "m")}), {"90": 3.0})
    info = ModelInfo(OPTIONS, ReadOptions(max_bp=30), None, target, ("s1",), {"mae": 3.0}, seed=7)
    encoder = SequenceEncoder(OPTIONS, 30)
    predictor = build_predictor(encoder, OPTIONS, target.target, target.covariates)
    FittedTransformer(encoder=encoder, info=info, predictor=predictor).save(tmp_path / "model")
    return tmp_path / "model"


def test_a_model_folder_is_read_as_it_was_written(folder):
    info = load(folder).info
    assert info.options == OPTIONS
    assert info.target.target == RegressionTarget("zscore", 40.0, 10.0)
    assert info.target.covariates == Covariates({"sex": ("f", "m")})
    assert (info.target.intervals, info.learned_from, info.scores, info.seed) == ({"90": 3.0}, ("s1",), {"mae": 3.0}, 7)


CHANGES = {
    "format_version": [0, 2, "1", None, True],
    "options": [None, [], {}, {"embedding_dim": 16, "code": "x"}],
    "options.embedding_dim": ["16", 16.5, -16, 0, 2**40, 10**30, True, None, 32],
    "options.attention_heads": [3, 0, "2", 16],
    "options.attention_layers": [0, 2, 10**9, -1],
    "options.dropout": [10**400, -1],
    "options.ffn_ratio": ["nan", 0, -1, 1e300, float("nan"), float("inf"), 1],
    "options.position_encoding": ["learned", "x", 1],
    "options.word_length": [9, -1, 3, "6", None],
    "heads": [
        None,
        {},
        [1],
        [{"name": "x y"}],
        [{"name": "a", "kind": "z"}],
        [{"name": "a", "kind": "taxonomy", "taxa": 3}],
        [{"name": "a", "outputs": 0}],
        [{"name": "a", "outputs": 1, "own": True}],
        [{"name": "a", "scale": 0.0}],
        [{"name": "a"}],
    ],
    "reads.max_bp": [0, -1, 10**12, "150", None],
    "reads.sampling_depth": [-5, "many", 1.5],
    "unifrac_metric": ["x", 3, []],
    "scores": [None, 3, []],
    "target": ["x", {}, []],
    "target.kind": ["x", None, "classification", []],
    "target.metadata_column": [None, 3],
    "seed": [None, "x", 1.5, -1, 2**32],
    "target.intervals": [None, "x", [], 3.0, {"90": float("nan")}, {"90": "x"}],
    "target.target": [None, {"transform": "zscore"}, {"transform": "x", "shift": 0.0, "scale": 1.0}],
    "target.target.scale": [0.0, -1.0, 10**400],
    "target.target.shift": ["x", None, float("inf")],
    "target.target.loss_type": ["x", None],
    "target.covariates": [None, {}, {"vocabularies": {"sex": ["f"]}}, {"vocabularies": {"sex": "fm"}}, {"vocabularies": [1]}],
    "target.covariates.numbers": [None, [], {"bmi": [1.0, 2.0]}, {"bmi": [1.0]}, {"bmi": [1.0, -2.0]}, {"bmi": ["x", 2.0]}],
    "target.covariates.lacking": [None, ["bmi"], "bmi"],
    "target.covariates.fusion": [None, "x", "gated"],
}


@pytest.mark.parametrize(("place", "value"), [(place, value) for place, values in CHANGES.items() for value in values])
def test_a_config_that_is_not_one_is_one_line(folder, place, value):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    *parents, name = place.split(".")
    inner = config
    for parent in parents:
        inner = inner[parent]
    inner[name] = value
    path.write_text(json.dumps(config))
    with pytest.raises(InputError, match=re.escape(str(folder))) as caught:
        load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '{"format_version": 1}', "[" * 100_000, "\x00"])
def test_a_config_that_is_no_config_is_one_line(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(InputError, match=re.escape(str(folder))):
        load(folder)


def weights_of(folder):
    # Copies: older safetensors maps the file, which the tests write over.
    return {name: value.clone() for name, value in load_file(folder / "model.safetensors").items()}


def test_weights_that_do_not_fit_are_one_line(folder):
    path, weights = folder / "model.safetensors", weights_of(folder)
    first = next(iter(weights))
    changed = [
        {},
        {name: value for name, value in weights.items() if name != first},
        {**weights, "more": torch.zeros(1)},
        {**weights, first: weights[first][..., :1].contiguous()},
        {**weights, first: torch.full_like(weights[first], np.nan)},
        {**weights, first: weights[first].to(torch.float8_e4m3fn)},
        {**weights, first: weights[first].long()},
    ]
    for content in changed:
        save_file(content, path)
        with pytest.raises(InputError, match="not a complete model folder"):
            load(folder)
    save_file(weights, path)
    whole = path.read_bytes()
    for content in (b"", whole[:100], whole[:-1], (2**60).to_bytes(8, "little") + whole[8:], b"\x00" * 100):
        path.write_bytes(content)
        with pytest.raises(InputError, match="not a complete model folder"):
            load(folder)


def test_a_pickle_that_would_run_a_command_does_not(folder, tmp_path):
    made = tmp_path / "made"
    content = pickle.dumps(Command(f"touch {made}"))
    pickle.loads(content)
    assert made.exists()  # it would
    made.unlink()
    for name in ("model.safetensors", "config.json", "samples.txt"):
        before = (folder / name).read_bytes()
        (folder / name).write_bytes(content)
        with pytest.raises(InputError):
            load(folder)
        (folder / name).write_bytes(before)
    assert not made.exists()


def test_a_checkpoint_that_would_run_a_command_does_not(tmp_path, capsys):
    write_simulation(simulate(0, n_samples=24, n_asvs=20, length=30), tmp_path)
    tables = ["--table", tmp_path / "table.biom", "--tree", tmp_path / "tree.nwk", "--output-dir", tmp_path / "run", "--no-cache"]
    shape = ["--embedding-dim", 16, "--attention-heads", 2, "--attention-layers", 1, "--epochs", 1]
    run = [str(word) for word in ("pretrain", *tables, *shape)]
    assert main(run) == 0
    made = tmp_path / "made"
    checkpoints = tmp_path / "run" / "checkpoints"
    torch.save({"epoch": 0, "state_dict": Command(f"touch {made}")}, checkpoints / "last.ckpt")
    # There is none before it: the run has one epoch.
    assert main([*run, "--resume"]) == 2
    assert "no checkpoint there that can be read; start afresh with --overwrite" in capsys.readouterr().err
    good = torch.load(checkpoints / "best.ckpt", weights_only=True)
    for content in ({"epoch": 0, "state_dict": {}}, {}, [], 3, good):
        torch.save(content, checkpoints / "last.ckpt")
        assert main([*run, "--resume"]) == 2
        assert "no checkpoint there that can be read" in capsys.readouterr().err
    assert not made.exists()


def test_a_damaged_run_folder_is_one_line(tmp_path, capsys):
    write_simulation(simulate(0, n_samples=24, n_asvs=20, length=30), tmp_path)
    tables = ["--table", tmp_path / "table.biom", "--tree", tmp_path / "tree.nwk", "--output-dir", tmp_path / "run", "--no-cache"]
    run = [str(word) for word in ("pretrain", *tables, "--embedding-dim", 16, "--attention-heads", 2, "--attention-layers", 1)]
    assert main([*run, "--epochs", "2"]) == 0
    assert main([*run, "--epochs", "3", "--resume"]) == 0
    checkpoints = tmp_path / "run" / "checkpoints"
    last, best = checkpoints / "last.ckpt", checkpoints / "best.ckpt"
    whole = torch.load(last, weights_only=True)
    optimizer = whole["optimizer_states"][0]
    moments = {place: {**kept, "exp_avg": torch.zeros(3)} for place, kept in optimizer["state"].items()}
    changes = {
        "optimizer_states": [{"state": {}, "param_groups": []}],
        "loops": {},
        "callbacks": dict.fromkeys(whole["callbacks"], 3),
        "lr_schedulers": [{"junk": 1}],
        "running": {"nowhere": {"updates": torch.tensor(1)}},
        "pytorch-lightning_version": "x",
    }
    capsys.readouterr()
    for name, value in [*changes.items(), ("optimizer_states", [{**optimizer, "state": moments}])]:
        torch.save({**whole, name: value}, last)
        assert main([*run, "--epochs", "4", "--resume"]) == 2, name
        said = capsys.readouterr().err
        assert "last.ckpt: damaged, or of another version of a library" in said, name
    torch.save(whole, last)
    # Of the weights that are left, whose epoch is another.
    torch.save({**torch.load(best, weights_only=True), "epoch": 99}, best)
    assert main([*run, "--epochs", "3", "--resume"]) == 2
    assert "best.ckpt: of epoch 100, and 3 were run" in capsys.readouterr().err
    for content in (
        "",
        "{}",
        "[]",
        "null",
        '{"batch_size": 8, "accumulate": 1, "gradient_checkpointing": 3, "limit": null, "planned": 1}',
    ):
        (tmp_path / "run" / "memory.json").write_text(content)
        assert main([*run, "--epochs", "4", "--resume"]) == 2
        assert "memory.json: damaged" in capsys.readouterr().err
    for content in ("", "[]", "{", "3"):
        (tmp_path / "run" / "inputs.json").write_text(content)
        assert main([*run, "--epochs", "4", "--resume"]) == 2
        assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_run_goes_on_with_the_same_input_wherever_it_lies_and_with_no_other(tmp_path, capsys):
    study, moved = tmp_path / "study", tmp_path / "moved"
    study.mkdir()
    write_simulation(simulate(0, n_samples=24, n_asvs=20, length=30), study)
    shape = ["--embedding-dim", "16", "--attention-heads", "2", "--attention-layers", "1", "--no-cache"]

    def pretrain(folder, *more):
        tables = ["--table", str(folder / "table.biom"), "--tree", str(folder / "tree.nwk"), "--output-dir", str(folder / "run")]
        return main(["pretrain", *tables, *shape, *more])

    assert pretrain(study, "--epochs", "2") == 0
    study.rename(moved)
    assert pretrain(moved, "--epochs", "3", "--resume") == 0
    capsys.readouterr()
    assert pretrain(moved, "--epochs", "1", "--resume") == 2
    assert "3 epochs are done, and --epochs or --max-steps allow 1" in capsys.readouterr().err
    # One count is another: the ids are the same.
    with h5py.File(moved / "table.biom", "r+") as table:
        table["sample/matrix/data"][0] += 1
    assert pretrain(moved, "--epochs", "4", "--resume") == 2
    assert "--resume: --table holds other data than the run read" in capsys.readouterr().err
    (moved / "run" / "inputs.json").unlink()
    assert pretrain(moved, "--epochs", "4", "--resume") == 0
    # Not with other samples: what was learned from would be held out.
    write_simulation(simulate(1, n_samples=30, n_asvs=20, length=30), moved)
    (moved / "run" / "inputs.json").unlink()
    capsys.readouterr()
    assert pretrain(moved, "--epochs", "5", "--resume") == 2
    assert "has other samples than the tables give now" in capsys.readouterr().err
