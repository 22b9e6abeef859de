"""What a training step takes in memory, measured on small batches, and batches planned by it."""

from __future__ import annotations

import json
import logging
import math
import resource
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import torch
from scipy.optimize import nnls
from torch import Tensor, nn

from aam.compute import default_device, plan_of
from aam.data.dataset import Batch, SampleDataset
from aam.data.sequences import Nucleotide
from aam.data.stream import StreamedCounts
from aam.disk.schema import parse
from aam.disk.writing import write_text
from aam.errors import InputError, one_line
from aam.models import Encoder, recompute
from aam.models.asv_encoder import with_gradients
from aam.models.precision import lowered
from aam.options import FitOptions, LabelFreeObjectives, TrainComputeOptions
from aam.parallel.collectives import wait, world
from aam.parallel.ranks import nodes, rank
from aam.training.objectives.label_free import self_supervised, self_supervised_losses
from aam.training.objectives.nucleotides import MASKED_ASVS
from aam.training.step import Step

log = logging.getLogger(__name__)

GIGABYTE = 2**30
# Of what is kept for the backward pass: with what its own intermediate results and the allocator take.
_OVERHEAD = 1.3
# Of the memory that is free, when no limit is given.
_FREE_SHARE = 0.8
# Distinct ASVs, samples, ASVs of each sample: each of the three costs varies while the others stay.
_PROBES = ((8, 4, 8), (32, 4, 8), (8, 16, 8), (8, 4, 64), (8, 4, 128))
_DRAWN_BATCHES = 20


@dataclass(frozen=True)
class StepCost:
    """Bytes that a step keeps: for each token of a distinct ASV, each ASV slot of a sample, each pair of slots, and always.

    `chunk` is the most ASVs whose activations are kept at once: all of a batch, or a chunk with gradient checkpointing; `share` of
    the ASVs have gradients.
    """

    nucleotide: float
    slot: float
    pair: float
    always: float
    length: int
    chunk: float
    overhead: float = _OVERHEAD
    share: float = 1.0

    def bytes(self, distinct: int, samples: int, longest: int) -> float:
        """Estimate for a batch of `samples` of up to `longest` ASVs, `distinct` between them."""
        nucleotides = min(with_gradients(distinct, self.share), self.chunk) * self.length * self.nucleotide
        slots = samples * longest
        return self.overhead * (nucleotides + slots * self.slot + slots * longest * self.pair) + self.always


@dataclass(frozen=True)
class Limit:
    """The bytes that a step may take, by the cost that was measured."""

    cost: StepCost
    budget: float

    def __call__(self, distinct: int, samples: int, longest: int) -> bool:
        """Whether such a batch may be made; see `StepCost.bytes`."""
        return self.cost.bytes(distinct, samples, longest) <= self.budget


@dataclass(frozen=True)
class MemoryPlan:
    """How a run fits into memory: samples at a time, batches per optimiser step, whether the nucleotide level is computed again in
    the backward pass, what a batch may take (None: no limit), and the most bytes that were planned.
    """

    batch_size: int
    accumulate: int
    gradient_checkpointing: bool
    limit: Limit | None = None
    planned: float = math.inf

    def save(self, path: Path) -> None:
        """Write it, for a resumed run: what is free by then may be another amount, and the batches must be the same."""
        write_text(path, json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> MemoryPlan:
        """Read what `save` wrote. InputError for anything else."""
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            if (limit := fields.pop("limit")) is not None:
                cost = {name: float(value) for name, value in limit["cost"].items()}
                limit = Limit(StepCost(**cost), float(limit["budget"]))  # type: ignore[arg-type]
            # May be infinite, which no option may.
            planned = float(fields.pop("planned"))
            return replace(parse(cls, fields, "plan"), limit=limit, planned=planned)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise InputError(f"{path}: damaged ({one_line(error)}); start afresh with `overwrite`") from error

    def log_peak(self) -> None:
        """Say what the run took, beside what was planned."""
        planned = "" if self.limit is None else f", {self.planned / GIGABYTE:.2f} GB planned"
        log.info("memory: %.2f GB at the most%s", peak_bytes() / GIGABYTE, planned)


def probe_batch(distinct: int, samples: int, asvs: int, length: int) -> Batch:
    """A made-up batch of `samples` of `asvs` ASVs each, `distinct` between them, of `length` tokens."""
    tokens = torch.full((distinct, length), Nucleotide.A, dtype=torch.uint8)
    tokens[:, 0] = Nucleotide.START
    index = torch.arange(samples * asvs).remainder(distinct).view(samples, asvs)
    return Batch(tokens, torch.arange(distinct), index, torch.ones(samples, asvs), torch.arange(samples))


@contextmanager
def count_kept_bytes(parameters: Iterator[nn.Parameter]) -> Iterator[Callable[[], int]]:
    """Count the storages kept for the backward pass within, each once and without the parameters; gives a function that tells."""
    known = {parameter.untyped_storage().data_ptr() for parameter in parameters}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        # The tensor is held, so that its address is not given to another one.
        if (address := tensor.untyped_storage().data_ptr()) not in known:
            kept.setdefault(address, tensor.detach())
        return tensor

    recompute.observers.append(pack)
    try:
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            yield lambda: sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    finally:
        recompute.observers.remove(pack)


def step_loss(encoder: Encoder, objectives: LabelFreeObjectives, batch: Batch) -> Tensor:
    """A loss that needs all that a step computes but the distances and the head, which take next to nothing."""
    step = Step.alone(batch)
    outcome = self_supervised(encoder, step, objectives, embed=True)
    assert outcome.embedding is not None
    return torch.stack([outcome.embedding.sum(), *self_supervised_losses(outcome, step).values()]).sum()


def measure_cost(encoder: Encoder, objectives: LabelFreeObjectives, length: int) -> StepCost:
    """Run small batches of sequences of `length` and fit what is kept for the backward pass to their sizes."""
    threads = torch.get_num_threads()
    # What other threads keep is not seen from here.
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng():
            return _fit_cost(encoder, objectives, length)
    finally:
        torch.set_num_threads(threads)


def _fit_cost(encoder: Encoder, objectives: LabelFreeObjectives, length: int) -> StepCost:
    sizes, kept = [], []
    device = encoder.device
    # Of masked nucleotides nothing is kept where they run by themselves, and as of other ASVs where all is one pass.
    learned = replace(objectives, nuc_penalty=0.0)
    one_pass = plan_of(encoder.compute, device).chunk is None and objectives.nuc_penalty > 0
    running = lowered(encoder, encoder.compute.mixed_precision)
    for distinct, samples, asvs in _PROBES:
        batch = probe_batch(distinct, samples, asvs, length).to(device)
        with count_kept_bytes(running.parameters()) as kept_bytes:
            step_loss(running, learned, batch)
            kept.append(kept_bytes())
        sizes.append((distinct * length, samples * asvs, samples * asvs**2, 1))
    (nucleotide, slot, pair, always), _ = nnls(np.array(sizes, dtype=float), np.array(kept, dtype=float))
    return StepCost(nucleotide * (1 + MASKED_ASVS if one_pass else 1), slot, pair, always, length, math.inf)


@dataclass(frozen=True)
class TrainingTable:
    """The training samples as a plan sees them: rows of a dataset, and tokens uint8 [M, 1 + L] of the table."""

    dataset: SampleDataset
    rows: np.ndarray
    asv_tokens: np.ndarray

    def sizes(self, batch_size: int) -> list[tuple[int, int, int]]:
        """Distinct ASVs, samples and ASVs of the largest sample, of random batches."""
        rng = np.random.default_rng(0)
        columns = self.dataset.most_columns()
        number = min(batch_size, len(self.rows))
        draws = [rng.choice(self.rows, number, replace=False) for _ in range(_DRAWN_BATCHES)]
        batches = [[columns[row] for row in draw] for draw in draws]
        return [(len(np.unique(np.concatenate(batch))), number, max(map(len, batch))) for batch in batches]

    def sizes_alone(self) -> list[tuple[int, int, int]]:
        """The same of each sample as a batch of its own."""
        columns = self.dataset.most_columns()
        return [(len(columns[row]), 1, len(columns[row])) for row in self.rows]


def plan_memory(
    encoder: Encoder,
    objectives: LabelFreeObjectives,
    fit: FitOptions,
    compute: TrainComputeOptions,
    table: TrainingTable,
    kept: Path,
) -> MemoryPlan:
    """Decide on gradient checkpointing (set on the encoder) and, where a limit is asked for, on the batches.

    The plan is kept in the file `kept`; where that is there already, a run is resumed as it was planned. InputError that names the
    sample when one alone does not fit.
    """
    if rank() == 0 and not kept.is_file():
        _plan(encoder, objectives, fit, compute, table).save(kept)
    # What is free may differ between ranks.
    wait()
    plan = MemoryPlan.load(kept)
    encoder.asv_encoder.gradient_checkpointing = plan.gradient_checkpointing
    return plan


def _plan(
    encoder: Encoder, objectives: LabelFreeObjectives, fit: FitOptions, compute: TrainComputeOptions, table: TrainingTable
) -> MemoryPlan:
    choice = compute.gradient_checkpointing
    bounded = compute.max_memory_gb is not None or compute.auto_batch_size
    # What is computed again is time lost: on a GPU only where its memory asks for it.
    if not bounded and (choice is not None or not torch.cuda.is_available()):
        return MemoryPlan(fit.batch_size, fit.accumulate, bool(choice))
    if isinstance(table.dataset.counts, StreamedCounts):
        # How large its batches are is not known: as where memory is short.
        return MemoryPlan(fit.batch_size, fit.accumulate, gradient_checkpointing=True)
    encoder.to(default_device())
    encoder.asv_encoder.gradient_checkpointing = False
    share = plan_of(compute, default_device()).gradients_of if fit.asv_gradients is None else fit.asv_gradients
    cost = replace(measure_cost(encoder, objectives, table.asv_tokens.shape[1]), share=share)
    budget = budget_bytes(encoder, compute.max_memory_gb)
    # Each thread has a chunk in work.
    at_once = plan_of(compute, default_device()).asvs_at_once(cost.length, encoder.asv_encoder.options.embedding_dim, True)
    chunk = at_once * (1 if torch.cuda.is_available() else torch.get_num_threads())
    require_budget(budget, compute.max_memory_gb)
    limit = choose_limit(Limit(cost, budget), chunk, choice, fit.batch_size, table)
    if not bounded:
        return MemoryPlan(fit.batch_size, fit.accumulate, limit.cost.chunk == chunk)
    require_each_fits(limit, table)
    batch_size = fit.batch_size
    if compute.auto_batch_size:
        batch_size = largest_batch(fit.batch_size, limit, table)
        if torch.cuda.is_available():
            encoder.asv_encoder.gradient_checkpointing = limit.cost.chunk == chunk
            batch_size = by_trial(batch_size, partial(_try_step, encoder, objectives, table))
    accumulate = fit.accumulate * math.ceil(fit.batch_size / batch_size)
    if compute.auto_batch_size:
        log.info("`auto_batch_size`: `batch_size=%d` `accumulate=%d`", batch_size, accumulate)
    planned = bytes_in_use() + budget
    log.info("memory: %.2f GB planned, of which %.2f for a step", planned / GIGABYTE, budget / GIGABYTE)
    return MemoryPlan(batch_size, accumulate, limit.cost.chunk == chunk, limit, planned)


def choose_limit(limit: Limit, chunk: int, checkpointing: bool | None, batch_size: int, table: TrainingTable) -> Limit:
    """The limit at the cost with gradient checkpointing where it is wanted or (None) not everything fits without, else as it is."""
    if checkpointing is None:
        checkpointing = not all(limit(*size) for size in table.sizes(batch_size) + table.sizes_alone())
    return replace(limit, cost=replace(limit.cost, chunk=chunk)) if checkpointing else limit


def require_budget(budget: float, max_memory_gb: float | None) -> None:
    """InputError where nothing is left for a step."""
    if budget > 0:
        return
    need = bytes_in_use() / GIGABYTE
    if max_memory_gb is None:
        raise InputError(f"no memory is free for a step: the program has {need:.2f} GB; take a smaller `embedding_dim`")
    raise InputError(f"`max_memory_gb={max_memory_gb:g}`: the program takes {need:.2f} GB before its first step, so give more")


def require_each_fits(limit: Limit, table: TrainingTable) -> None:
    """InputError that names the largest sample when it does not fit alone."""
    alone = table.sizes_alone()
    number = max(range(len(alone)), key=lambda sample: alone[sample][0])
    if limit(*alone[number]):
        return
    need, allowed = ((bytes_in_use() + part) / GIGABYTE for part in (limit.cost.bytes(*alone[number]), limit.budget))
    name, asvs = table.dataset.sample_ids[table.rows[number]], alone[number][0]
    raise InputError(
        f"sample {name} with {asvs} ASVs needs about {need:.2f} GB, {allowed:.2f} are there: raise `max_memory_gb`, "
        "lower `asv_chunk_size`, leave out `gradient_checkpointing=False`, or set `token_limit`"
    )


def largest_batch(wanted: int, limit: Limit, table: TrainingTable) -> int:
    """The maximum number of samples, up to `wanted`, of which random batches fit."""
    size = wanted
    while size > 2 and not all(limit(*drawn) for drawn in table.sizes(size)):
        size = math.ceil(size / 2)
    return size


def by_trial(batch_size: int, step: Callable[[int], None]) -> int:
    """The batch size, halved until a step of it does not run out of the GPU's memory."""
    while True:
        try:
            step(batch_size)
            return batch_size
        except torch.OutOfMemoryError:
            if batch_size <= 2:
                raise
            log.info("`auto_batch_size`: out of memory with %d samples", batch_size)
            batch_size = math.ceil(batch_size / 2)
        torch.cuda.empty_cache()


def _try_step(encoder: Encoder, objectives: LabelFreeObjectives, table: TrainingTable, batch_size: int) -> None:
    """Forward and backward of the largest of some random batches; no gradient is left."""
    distinct, samples, longest = max(table.sizes(batch_size))
    device = encoder.device
    batch = probe_batch(distinct, samples, longest, table.asv_tokens.shape[1]).to(device)
    with torch.random.fork_rng():
        step_loss(lowered(encoder, encoder.compute.mixed_precision), objectives, batch).backward()
    encoder.zero_grad(set_to_none=True)


def budget_bytes(encoder: Encoder, max_memory_gb: float | None) -> float:
    """What a step may take: of the limit, or of what is free, without what is in use and what the optimiser will take."""
    # Gradients and AdamW's two moments.
    optimiser = 3 * sum(p.numel() * p.element_size() for p in encoder.parameters() if p.requires_grad)
    if torch.cuda.is_available():
        free = torch.cuda.mem_get_info()[0]
        limit = math.inf if max_memory_gb is None else max_memory_gb * GIGABYTE - torch.cuda.memory_allocated()
        return min(limit, _FREE_SHARE * free) - optimiser
    limit = math.inf if max_memory_gb is None else max_memory_gb * GIGABYTE - bytes_in_use()
    # Of the machine, which the ranks on it share.
    shared = psutil.virtual_memory().available / (world() // nodes())
    return min(limit, _FREE_SHARE * shared) - optimiser


def bytes_in_use() -> int:
    """Memory that is held now: on the GPU, or by the process."""
    if torch.cuda.is_available():
        return torch.cuda.memory_allocated()
    return psutil.Process().memory_info().rss


def peak_bytes() -> int:
    """Peak memory of the run: on the GPU, or of the process since it started."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    # In kilobytes on Linux, in bytes on a Mac.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
