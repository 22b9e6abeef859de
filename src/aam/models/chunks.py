"""A model run on chunks of its input, on a CPU several at a time, with gradients.

Each thread runs its chunks forward and backward on one core, so that activations stay in its cache. The graph of a chunk is kept
for the backward pass, or, to save memory, made again in it (gradient checkpointing; Chen et al. 2016, arXiv 1604.06174). A loss
that is a sum over chunks needs neither: each chunk goes backward at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from aam.parallel.collectives import most, world
from aam.parallel.threads import in_threads

# More Python threads than this would wait for the interpreter; they leave cores to the operations.
_MOST_THREADS = 8

Chunk = tuple[Tensor, ...]


@dataclass(frozen=True)
class Chunked:
    """What is run: `encode(*shared, *chunk)` -> [rows of the chunk, ...] for every chunk, put together."""

    encode: Callable[..., Tensor]
    chunks: Sequence[Chunk]
    recompute: bool = False


@dataclass(frozen=True)
class ChunkedLoss:
    """What is run: `loss(*chunk)` -> the chunk's part of a sum, and what it was computed from, for every chunk."""

    loss: Callable[..., tuple[Tensor, Tensor]]
    chunks: Sequence[Chunk]


def run_chunks(work: Chunked, shared: Sequence[Tensor], parameters: Sequence[Tensor]) -> Tensor:
    """The outputs of all chunks, one after the other.

    `shared` are inputs of every chunk that gradients go back to, `parameters` those of the model that `encode` uses.
    """
    if sharded(parameters):
        return _run_chunks_of_shards(work, shared)
    threads, here = _threads(work.chunks), _as_here()
    if len(work.chunks) == 1 and not work.recompute:
        return work.encode(*shared, *work.chunks[0])
    if not torch.is_grad_enabled() or (threads == 1 and not work.recompute):
        return torch.cat(list(in_threads(here(lambda chunk: work.encode(*shared, *chunk)), work.chunks, threads)))
    output: Tensor = _RunChunks.apply(work, here, len(shared), *shared, *parameters)
    return output


def run_losses(work: ChunkedLoss, parameters: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The sum of the losses of all chunks, and what they were computed from, without gradients, one after the other.

    `parameters` are those of the model that gradients go back to. No activations are kept.
    """
    if sharded(parameters):
        return _run_losses_of_shards(work)
    here = _as_here()
    if torch.is_grad_enabled():
        loss, outputs = _RunLosses.apply(work, here, *parameters)
        return loss, outputs
    parts = list(in_threads(here(lambda chunk: work.loss(*chunk)), work.chunks, _threads(work.chunks)))
    return torch.stack([loss for loss, _ in parts]).sum(), torch.cat([output for _, output in parts])


def sharded(parameters: Sequence[Tensor]) -> bool:
    """Whether other ranks have parts of the parameters, which hooks of modules put together in each call, and see in its graph."""
    if world() == 1:
        return False
    from torch.distributed.tensor import DTensor

    return any(isinstance(parameter, DTensor) for parameter in parameters)


def _run_chunks_of_shards(work: Chunked, shared: Sequence[Tensor]) -> Tensor:
    def encode(chunk: Chunk) -> Tensor:
        if work.recompute and torch.is_grad_enabled():
            output: Tensor = checkpoint(work.encode, *shared, *chunk, use_reentrant=False)
            return output
        return work.encode(*shared, *chunk)

    rows = sum(len(chunk[0]) for chunk in work.chunks)
    return torch.cat([encode(chunk) for chunk in (*work.chunks, *_missing(work.chunks))])[:rows]


def _run_losses_of_shards(work: ChunkedLoss) -> tuple[Tensor, Tensor]:
    losses, outputs = zip(*(work.loss(*chunk) for chunk in work.chunks), strict=True)
    unused = [0 * work.loss(*chunk)[0] for chunk in _missing(work.chunks)]
    return torch.stack([*losses, *unused]).sum(), torch.cat(outputs).detach()


def _missing(chunks: Sequence[Chunk]) -> list[Chunk]:
    """Chunks of one row to run in vain, so that each rank calls the layers as often: each call is a meeting of all."""
    first = tuple(part[:1] for part in chunks[0])
    return [first] * (most(len(chunks), chunks[0][0].device) - len(chunks))


def _threads(chunks: Sequence[Chunk]) -> int:
    """One for each core of a CPU; a GPU is one worker."""
    return min(torch.get_num_threads(), _MOST_THREADS, len(chunks)) if chunks[0][0].device.type == "cpu" else 1


def _as_here() -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
    """Make a function compute in another thread as it would here: whether gradients are wanted is a thread's own."""
    grad = torch.is_grad_enabled()

    def wrap(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def run(item: Any) -> Any:
            with torch.set_grad_enabled(grad):
                return function(item)

        return run

    return wrap


class _RunChunks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, work: Chunked, here: Callable, n_shared: int, *tensors: Tensor) -> Tensor:
        # The chunks' graphs end at these, and backward() goes on from them.
        shared = [tensor.detach().requires_grad_(tensor.requires_grad) for tensor in tensors[:n_shared]]

        def encode(chunk: Chunk) -> Tensor:
            return work.encode(*shared, *chunk)

        run = torch.no_grad()(encode) if work.recompute else encode
        outputs = list(in_threads(here(run), work.chunks, _threads(work.chunks)))
        ctx.leaves, ctx.threads = [*shared, *tensors[n_shared:]], _threads(work.chunks)
        ctx.sizes = [len(output) for output in outputs]
        # What gives the output of a chunk with its graph, which is let go of when it has been used.
        again = here(encode)
        ctx.graphs = [(again, chunk) for chunk in work.chunks] if work.recompute else outputs
        return torch.cat([output.detach() for output in outputs])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        wanted = [leaf for leaf in ctx.leaves if leaf.requires_grad]
        parts = gradients[0].split(ctx.sizes)

        def run(first: int) -> list[Tensor | None]:
            """Sums of the gradients of every `threads`-th chunk."""
            sums: list[Tensor | None] = [None] * len(wanted)
            for number in range(first, len(parts), ctx.threads):
                graph, ctx.graphs[number] = ctx.graphs[number], None
                output = graph if isinstance(graph, Tensor) else graph[0](graph[1])
                found = torch.autograd.grad(output, wanted, parts[number], allow_unused=True)
                sums = [_sum((old, new)) for old, new in zip(sums, found, strict=True)]
            return sums

        totals = iter(_totals(run, ctx.threads))
        return (None, None, None, *(next(totals) if leaf.requires_grad else None for leaf in ctx.leaves))


class _RunLosses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, work: ChunkedLoss, here: Callable, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        wanted = [parameter for parameter in parameters if parameter.requires_grad]
        threads = _threads(work.chunks)
        results: list[Any] = [None] * len(work.chunks)

        def run(first: int) -> list[Tensor | None]:
            """Sums of the gradients of every `threads`-th chunk."""
            sums: list[Tensor | None] = [None] * len(wanted)
            for number in range(first, len(results), threads):
                with torch.enable_grad():
                    loss, output = work.loss(*work.chunks[number])
                results[number] = (loss.detach(), output.detach())
                found = torch.autograd.grad(loss, wanted, allow_unused=True)
                sums = [_sum((old, new)) for old, new in zip(sums, found, strict=True)]
            return sums

        gradients = iter(_totals(here(run), threads))
        ctx.gradients = [next(gradients) if parameter.requires_grad else None for parameter in parameters]
        losses, outputs = zip(*results, strict=True)
        output = torch.cat(outputs)
        ctx.mark_non_differentiable(output)
        return torch.stack(losses).sum(), output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return (None, None, *(None if part is None else part * gradients[0] for part in ctx.gradients))


def _totals(run: Callable[[int], list[Tensor | None]], threads: int) -> list[Tensor | None]:
    """The gradients that each thread adds up, added up."""
    return [_sum(parts) for parts in zip(*in_threads(run, range(threads), threads), strict=True)]


def _sum(parts: Sequence[Tensor | None]) -> Tensor | None:
    """In 32 bits where parts are in 16: there may be many."""
    there = [part for part in parts if part is not None]
    if not there:
        return None
    return sum(there[1:], start=there[0].to(torch.promote_types(there[0].dtype, torch.float32)))
