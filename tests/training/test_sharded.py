"""Checkpoints of several parts, without the ranks that write them (those are in cli/test_ranks.py)."""

import os

import pytest
import torch
from torch import nn

from aam.errors import InputError
from aam.training.checkpoint_files import newest
from aam.training.sharded import load_whole, release
from tests.support.hostile import Command


@pytest.fixture
def module():
    torch.manual_seed(0)
    # Five rows for two ranks; a norm has buffers, which every rank has whole.
    return nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5))


def write_parts(module, folder, epoch=4, ranks=2):
    folder.mkdir(parents=True)
    learned = dict(module.named_parameters())
    for rank in range(ranks):
        state = {name: (value.chunk(ranks)[rank] if name in learned else value) for name, value in module.state_dict().items()}
        content = {
            "epoch": epoch,
            "loops": {},
            "running": {},
            "callbacks": {},
            "lr_schedulers": [],
            "optimizer_states": [{}],
            "state_dict": state,
        }
        torch.save(content, folder / f"{rank:05d}-of-{ranks:05d}.ckpt")


def test_parts_make_the_whole_module(module, tmp_path):
    write_parts(module, tmp_path / "best.ckpt")
    whole = {name: value.clone() for name, value in module.state_dict().items()}
    release(module)
    assert newest(tmp_path, "best", module.state_dict()) == tmp_path / "best.ckpt"
    assert load_whole(module, tmp_path / "best.ckpt") == 4
    assert all(torch.equal(value, whole[name]) for name, value in module.state_dict().items())
    # Nothing of the files is needed any more.
    for path in (tmp_path / "best.ckpt").iterdir():
        os.truncate(path, 0)
    module(torch.ones(2, 3))


@pytest.mark.parametrize("broken", ["missing", "cut", "other", "executes"])
def test_without_all_its_parts_the_checkpoint_before_is_taken(module, tmp_path, broken):
    write_parts(module, tmp_path / "last.ckpt")
    write_parts(module, tmp_path / "last-before.ckpt", epoch=3)
    part = tmp_path / "last.ckpt" / "00001-of-00002.ckpt"
    made = tmp_path / "made"
    match broken:
        case "missing":
            part.unlink()
        case "cut":
            part.write_bytes(part.read_bytes()[:-100])
        case "other":
            (part.with_name("00000-of-00002.ckpt")).replace(part)
        case "executes":
            torch.save({"epoch": Command(f"touch {made}")}, part)
    assert newest(tmp_path, "last", module.state_dict()) == tmp_path / "last-before.ckpt"
    for path in (tmp_path / "last-before.ckpt").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"last\.ckpt: no checkpoint there that can be read"):
        newest(tmp_path, "last", module.state_dict())
    assert not made.exists()
