"""A step asks a GPU for nothing that it would have to wait for.

There is no GPU here: the step runs on PyTorch's "meta" device, whose tensors have shapes and no values. What needs a value on the
way - an `item`, a `tolist`, a size that follows from values - fails there, and so does a tensor that was left on the CPU. Copies to
the device that are waited for are found by their arguments.
"""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from aam.compute import plan_of, planned_as
from aam.options import ComputeOptions
from tests.support.steps import module_and_batch


class NoWaitedCopies(TorchDispatchMode):
    """Fails where a tensor goes to the device and is waited for; the device to the CPU never works there."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        done = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name in ("_to_copy", "copy_", "to") and isinstance(done, torch.Tensor) and done.is_meta:
            source = args[1] if name == "copy_" else args[0]
            waited = not (args[2] if name == "copy_" and len(args) > 2 else (kwargs or {}).get("non_blocking"))
            assert source.is_meta or not waited, f"{name} of {tuple(source.shape)} from the CPU is waited for"
        return done


@pytest.mark.parametrize("precision", ["no", "bf16"])
@pytest.mark.parametrize("kind", ["pretrain", "number", "class"])
def test_a_step_waits_for_nothing(kind, precision, monkeypatch):
    module, batch = module_and_batch(kind, precision)
    # There is no generator of random numbers for tensors without values.
    monkeypatch.setattr(module, "mask_generator", lambda batch_idx: None)
    if kind == "class":
        # Counts of classes are those of a library, and are waited for.
        for scores in (module.train_scores, module.val_scores):
            monkeypatch.setattr(scores, "update", lambda predicted, true: None)
    module = module.train().to("meta")
    module._device = torch.device("meta")
    with planned_as("cuda"):
        moved = module.transfer_batch_to_device(batch, torch.device("meta"), 0)
        with NoWaitedCopies():
            module.training_step(moved, 0).backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            with torch.no_grad():
                module.eval().validation_step(moved, 0)
    assert all(parameter.grad is not None for parameter in module.parameters() if parameter.requires_grad)


def test_the_optimiser_is_one_operation_on_a_gpu_unless_losses_are_scaled():
    for precision, fused in (("no", True), ("bf16", True), ("fp16", False)):
        module, _ = module_and_batch("pretrain", precision)
        with planned_as("cuda"):
            assert module.make_optimizer().defaults["fused"] is fused
        assert module.make_optimizer().defaults["fused"] is plan_of(ComputeOptions(), "cpu").fused
