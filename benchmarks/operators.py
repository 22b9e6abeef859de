"""What a step asks of a device, operator by operator: `python -m benchmarks.operators`.

On a GPU each operator costs 5 to 10 us of the processor that asks for it, however small it is. The count needs no GPU: a step is
run on a CPU by the plan of a GPU, eagerly, with its backward pass and the optimiser, and every operator that is dispatched counts,
views too. What loaders prepare is not part of a step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from aam.compute import planned_as
from aam.options import ComputeOptions, Precision
from benchmarks.measure import Run, parser_of
from benchmarks.workload import SIMULATED, SIZES, Workload, learn, pretrain_module, read_subject

_PRECISIONS: tuple[Precision, ...] = ("no", "bf16")
COLUMNS = {"plan": "", "precision": "", "batch": "d", "ASVs": "d", "operators": "d", "views": "d"}
COMMONEST = {"operator": "", "times": "d"}
# They make another tensor of the same memory, and launch nothing on a GPU.
_VIEWS = (
    "view", "t", "detach", "transpose", "as_strided", "expand", "slice", "select", "unsqueeze", "squeeze", "permute", "split",
    "split_with_sizes", "unbind", "_unsafe_view", "view_as_real", "view_as_complex", "alias", "unfold",
)  # fmt: skip


class Count(TorchDispatchMode):
    """Counts the operators that are dispatched within, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        self.seen[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def count_step(work: Workload, kind: str) -> tuple[Counter[str], int]:
    """Operators of one pretraining step as the plan of a device has it, by name, and the distinct ASVs of its batch.

    The second step: in the first the optimiser makes its state.
    """
    with planned_as(kind):
        module = pretrain_module(work).train()
        optimizer, batches = module.make_optimizer(), work.batches()
        learn(module, next(batches), optimizer)
        batch = next(batches)
        with Count() as count:
            learn(module, batch, optimizer)
    return count.seen, len(batch.asv_tokens)


def main(argv: Sequence[str] | None = None) -> None:
    """Count, print, write."""
    parser = parser_of("operators", __doc__ or "")
    parser.add_argument("--table", help=f"folder below --data, or {SIMULATED} (default: oral)")
    parser.add_argument("--batch-size", type=int, default=64, help="samples per batch (default: %(default)s)")
    arguments = parser.parse_args(argv)
    quick = arguments.quick
    run = Run.start("operators", arguments)
    subject = read_subject(arguments.table or (SIMULATED if quick else "oral"), arguments.data)
    torch.set_num_threads(1)
    for kind in ("cuda", "cpu"):
        for precision in _PRECISIONS:
            compute = ComputeOptions(mixed_precision=precision)
            batch_size = 8 if quick else arguments.batch_size
            work = Workload(subject, SIZES["tiny" if quick else "public"], batch_size, compute=compute)
            seen, asvs = count_step(work, kind)
            views = sum(seen[name] for name in _VIEWS)
            what = {"plan": kind, "precision": precision, "batch": batch_size, "ASVs": asvs}
            run.add("operators", {**what, "operators": seen.total(), "views": views})
            if (kind, precision) == ("cuda", "bf16"):
                for name, times in seen.most_common(25):
                    run.add("commonest, GPU, bf16", {"operator": name, "times": times})
    run.finish({"operators": COLUMNS, "commonest, GPU, bf16": COMMONEST}, ["Counted on a CPU; views launch nothing on a GPU."])


if __name__ == "__main__":
    main()
