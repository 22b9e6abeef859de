"""What each option that saves memory saves, and what it costs: `python -m benchmarks.memory`."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aam.models.masking import mask_nucleotides
from aam.options import DEFAULT_COMPUTE, AttnImplementation, ComputeOptions, ReadOptions
from aam.training.objectives.nucleotides import MASKED_ASVS
from benchmarks.measure import Row, Run, parser_of
from benchmarks.peak import Peak, measure_peak
from benchmarks.workload import SIMULATED, SIZES, Workload, read_subject

BASE = "defaults"
# Far more ASVs than a batch has.
ALL_ASVS = 1_000_000
# Logits that the public implementation computes for a sample: 1,024 ASVs of 151 positions, 6 letters, 4 bytes.
_PUBLIC_LOGITS = 1024 * 151 * 6 * 4
_LETTERS, _LOGIT_BYTES = 4, 4


@dataclass(frozen=True)
class Dial:
    """One row: a setting as it is shown, and what it changes of the options and of the batch."""

    setting: str
    model: dict[str, Any] = field(default_factory=dict)
    objectives: dict[str, Any] = field(default_factory=dict)
    token_limit: int | None = None
    compute: ComputeOptions = DEFAULT_COMPUTE
    gradient_checkpointing: bool = False
    batch_factor: float = 1.0

    def turn(self, work: Workload) -> Workload:
        """The workload with this setting."""
        return replace(
            work,
            model=replace(work.model, **self.model),
            objectives=replace(work.objectives, **self.objectives),
            reads=ReadOptions(token_limit=self.token_limit),
            compute=self.compute,
            gradient_checkpointing=self.gradient_checkpointing,
            batch_size=max(2, round(work.batch_size * self.batch_factor)),
        )


def _chunked(chunk: int, checkpointing: bool) -> Dial:
    size = "all" if chunk == ALL_ASVS else str(chunk)
    name = f"asv_chunk_size {size}{', gradient_checkpointing' if checkpointing else ''}"
    return Dial(name, compute=ComputeOptions(asv_chunk_size=chunk), gradient_checkpointing=checkpointing)


_BF16 = ComputeOptions(mixed_precision="bf16")
_KERNELS: tuple[AttnImplementation, ...] = ("math", "mem_efficient")
DIALS = (
    Dial(BASE),
    Dial("gradient_checkpointing", gradient_checkpointing=True),
    *(_chunked(chunk, checkpointing) for checkpointing in (False, True) for chunk in (32, 256, ALL_ASVS)),
    Dial("ffn_ratio 1", {"ffn_ratio": 1.0}),
    Dial("ffn_ratio 2", {"ffn_ratio": 2.0}),
    *(Dial(f"attn_implementation {name}", compute=ComputeOptions(attn_implementation=name)) for name in _KERNELS),
    Dial("mixed_precision bf16", compute=_BF16),
    Dial("bf16, chunk 32, gradient_checkpointing", compute=replace(_BF16, asv_chunk_size=32), gradient_checkpointing=True),
    Dial("token_limit 64", token_limit=64),
    Dial("token_limit 32", token_limit=32),
    Dial("nuc_penalty 0", objectives={"nuc_penalty": 0.0}),
    Dial("batch x 1/8", batch_factor=1 / 8),
    Dial("batch x 1/2", batch_factor=1 / 2),
    Dial("batch x 2", batch_factor=2.0),
)

COLUMNS = {
    "setting": "",
    "batch": "d",
    "peak MB": ".0f",
    "above base MB": ".0f",
    "of defaults": ".0%",
    "bytes per sample": ".3g",
    "ms": ".1f",
    "x time": ".2f",
}
LOGITS = {"nucleotide logits": "", "bytes per sample": ".0f"}


def describe(dial: Dial, batch_size: int, peaks: Sequence[Peak]) -> Row:
    """Most memory of the rounds and the median step; the first step of each round warms up."""
    above = max(peak.above for peak in peaks)
    seconds = [second for peak in peaks for second, _ in peak.steps[1:] or peak.steps]
    row: Row = {"setting": dial.setting, "batch": batch_size, "peak MB": max(peak.peak for peak in peaks) / 2**20}
    return row | {
        "above base MB": above / 2**20,
        "bytes per sample": above / batch_size,
        "ms": 1e3 * statistics.median(seconds),
    }


def measure_dials(run: Run, work: Workload, dials: Sequence[Dial]) -> None:
    """Pretraining steps under each setting, each round in a fresh process, all settings in every round."""
    steps = run.arguments.steps or (1 if run.arguments.quick else 4)
    rounds = 1 if run.arguments.quick else run.repeats(2)
    peaks: dict[str, list[Peak]] = {dial.setting: [] for dial in dials}
    for number in range(rounds):
        for dial in dials:
            run.say(f"round {number + 1} of {rounds}: {dial.setting}")
            peaks[dial.setting].append(measure_peak(dial.turn(work), "pretrain", steps, run.arguments.threads))
    rows = [run.add("settings", describe(dial, dial.turn(work).batch_size, peaks[dial.setting])) for dial in dials]
    for row in rows:
        row |= {"of defaults": row["above base MB"] / rows[0]["above base MB"], "x time": row["ms"] / rows[0]["ms"]}


def measure_logits(run: Run, work: Workload) -> None:
    """Bytes of nucleotide logits that a batch needs, by what is predicted; counted, not measured."""
    batch = next(work.batches())
    samples, letters = len(batch.counts), (batch.asv_tokens > 0).sum(dim=1) - 1
    options = work.objectives
    masked = int(mask_nucleotides(batch.asv_tokens, options.nuc_mask_ratio, options.nuc_mask_strategy).sum()) * MASKED_ASVS
    positions = {
        "every position of every occurrence": int(letters[batch.asv_index][batch.counts > 0].sum()),
        "every position of the distinct ASVs": int(letters.sum()),
        "masked positions only, as here": masked,
    }
    run.add("logits", {"nucleotide logits": "padded to 1,024 ASVs x 151 positions, 6 letters", "bytes per sample": _PUBLIC_LOGITS})
    for name, number in positions.items():
        run.add("logits", {"nucleotide logits": name, "bytes per sample": number * _LETTERS * _LOGIT_BYTES / samples})
    run.add("logits", {"nucleotide logits": "in validation of a target, predict and embed", "bytes per sample": 0})


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = parser_of("memory", __doc__ or "")
    parser.add_argument("--table", help=f"folder below --data, or {SIMULATED} (default: oral)")
    parser.add_argument("--size", choices=list(SIZES), help="model (default: public)")
    parser.add_argument("--batch-size", type=int, help="samples per batch (default: 64)")
    parser.add_argument("--steps", type=int, help="steps in each process (default: 4)")
    arguments = parser.parse_args(argv)
    quick = arguments.quick
    run = Run.start("memory", arguments)
    subject = read_subject(arguments.table or (SIMULATED if quick else "oral"), arguments.data)
    size = arguments.size or ("tiny" if quick else "public")
    work = Workload(subject, SIZES[size], arguments.batch_size or (8 if quick else 64), device=run.device)
    measure_dials(run, work, DIALS[:2] if quick else DIALS)
    measure_logits(run, work)
    notes = [
        f"Pretraining steps on {subject.name}, {size} size; the same batches under every setting of one batch size.",
        "peak: of the process (on a GPU: of its tensors). above base: beyond imports, data and model; 'of defaults' compares that.",
        "bytes per sample: above base over the batch. x time: of a step, against the defaults.",
    ]
    run.finish({"settings": COLUMNS, "logits": LOGITS}, notes)


if __name__ == "__main__":
    main()
