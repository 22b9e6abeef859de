"""What a GPU computes is what the CPU computes: `AAM_TEST_GPU=1 pytest tests/test_gpu.py`, on a machine with one.

With AAM_TEST_GPU=cpu the same runs on the CPU alone, to see that these tests are whole.
"""

import json
import os
import subprocess
import sys
from contextlib import contextmanager, nullcontext

import numpy as np
import pandas as pd
import pytest
import torch

from aam.data.phylogeny import Phylogeny
from aam.data.sequences import Nucleotide
from aam.data.simulate import simulate
from aam.distances.registry import MEASURES, batch_form
from aam.models.masking import hide
from aam.models.precision import Lowered
from aam.models.transformer import attend
from aam.options import ComputeOptions
from aam.training.objectives.distances import sample_pairs
from tests.distances.test_unifrac import as_batch
from tests.support.commands import SMALL, TRANSFORMER, aam
from tests.support.encoders import make_batch, make_encoder
from tests.support.steps import module_and_batch

ASKED = os.environ.get("AAM_TEST_GPU")
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
pytestmark = pytest.mark.skipif(not ASKED, reason="AAM_TEST_GPU=1 is not set")
# `sample_pairs` compares embeddings in fp32.
NEAR = {torch.float64: 1e-5, torch.float32: 2e-3}


def test_there_is_one():
    assert DEVICE.type == "cuda" or ASKED == "cpu"


@contextmanager
def without_waiting():
    """An error from PyTorch where the processor waits for the GPU."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def step_on(device, dtype, mixed_lengths):
    """Losses and gradients of a step, with masks that are given: a GPU draws other random numbers. All on the CPU."""
    tokens, index, counts = (part.to(device) for part in make_batch(5, 40, 12, 9, mixed_lengths))
    distances = torch.rand(12, 12, generator=torch.Generator().manual_seed(1)).to(device)
    encoder = make_encoder(ComputeOptions()).to(device, dtype)
    masked = torch.zeros_like(tokens[:10], dtype=torch.bool)
    masked[:, 2:4] = tokens[:10, 2:4] != Nucleotide.PAD
    vectors, nucleotides, _ = encoder.asv_encoder.with_masked(tokens, hide(tokens[:10], masked, 2))
    embedding = encoder.encode_samples(vectors, index, counts.to(dtype))
    unifrac = sample_pairs(embedding, distances).loss
    (unifrac + 0.01 * nucleotides).backward()
    found = {name: p.grad for name, p in encoder.named_parameters() if p.grad is not None}
    return {name: value.detach().cpu() for name, value in {"unifrac": unifrac, "nucleotides": nucleotides, **found}.items()}


@pytest.mark.parametrize("mixed_lengths", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_losses_and_gradients_are_those_of_the_cpu(dtype, mixed_lengths):
    ours, theirs = step_on(DEVICE, dtype, mixed_lengths), step_on("cpu", dtype, mixed_lengths)
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        error = (ours[name] - value).norm() / value.norm().clamp(min=1e-3)
        assert error < NEAR[dtype], name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kernel", ["auto", "flash", "mem_efficient", "sdpa"])
def test_every_kernel_attends_alike(kernel, dtype):
    torch.manual_seed(0)
    q, k, v = (torch.randn(3, 2, 40, 32) for _ in range(3))
    bias = torch.randn(3, 2, 40)
    wanted = attend(q, k, v, bias, "math")
    said = attend(*(part.to(DEVICE, dtype) for part in (q, k, v)), bias.to(DEVICE), kernel)
    assert (said.float().cpu() - wanted).norm() / wanted.norm() < 0.02


@pytest.mark.parametrize("kind", ["pretrain", "number"])
@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_a_step_waits_for_nothing(kind, precision):
    module, batch = module_and_batch(kind, precision)
    module = module.to(DEVICE).train()
    module._device = DEVICE
    moved = (batch.pin_memory() if DEVICE.type == "cuda" else batch).to(DEVICE, non_blocking=True)
    optimizer = module.make_optimizer()
    for number in range(3):
        # The first makes what others find: states of the optimiser, plans of matrix products.
        with without_waiting() if number == 2 and DEVICE.type == "cuda" else nullcontext():
            optimizer.zero_grad()
            module.training_step(moved, 0).backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()


def test_16_bits_stay_near_32():
    encoder = make_encoder(ComputeOptions(), embedding_dim=32, attention_heads=4).float().to(DEVICE)
    tokens, index, counts = (part.to(DEVICE) for part in make_batch(2, 9, 4, 6, mixed_lengths=True))
    full = encoder(tokens, index, counts.float())
    for precision in ("bf16", "fp16") if DEVICE.type == "cuda" else ("bf16",):
        low = Lowered(encoder, ComputeOptions(mixed_precision=precision))()(tokens, index, counts.float()).float()
        assert 1e-6 < (low - full).norm() / full.norm() < 0.05


def on_the_cpu(*arguments):
    """A command in a process that sees no GPU."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run([sys.executable, "-m", "aam", *map(str, arguments)], env=environment, check=True)


def tables_of(path):
    return pd.read_csv(path, sep="\t", index_col=0).select_dtypes("number").to_numpy()


@pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
def test_what_was_pretrained_embeds_as_on_the_cpu(community, tmp_path, precision):
    if precision == "fp16" and DEVICE.type == "cpu":
        pytest.skip("needs a GPU")
    tables = ["--table", community / "table.biom", "--tree", community / "tree.nwk"]
    options = [*tables, *SMALL, "--test-fraction", 0.2, "--mixed-precision", precision]
    aam("pretrain", *options, "--epochs", 12, "--output-dir", tmp_path / "here")
    aam("pretrain", *options, "--resume", "--epochs", 13, "--output-dir", tmp_path / "here")
    aam("embed", "--model", tmp_path / "here", *tables[:2], "--output", tmp_path / "here.tsv")
    on_the_cpu("embed", "--model", tmp_path / "here", *tables[:2], "--output", tmp_path / "there.tsv")
    here, there = tables_of(tmp_path / "here.tsv"), tables_of(tmp_path / "there.tsv")
    assert np.linalg.norm(here - there) < 1e-3 * np.linalg.norm(there)


def test_options_that_change_how_a_run_goes_run_and_the_same_seed_gives_the_same_losses(community, tmp_path):
    run = ["pretrain", "--table", community / "table.biom", "--tree", community / "tree.nwk", *SMALL, "--epochs", 2, "--no-cache"]
    said = {}
    for name, options in {
        "one": ["--deterministic"],
        "again": ["--deterministic", "--stream", "--num-workers", 2],
        "found": ["--find-lr", "--gradient-checkpointing", "--asv-gradients", 0.25],
    }.items():
        aam(*run, *options, "--output-dir", tmp_path / name)
        said[name] = json.loads((tmp_path / name / "metrics.json").read_text())["history"]
    assert said["one"] == said["again"] != said["found"]


def test_the_other_commands_run_and_say_what_the_cpu_says(community, regressor, tmp_path):
    table = ["--table", community / "table.biom", "--metadata", community / "metadata.tsv"]
    aam("predict", "--model", regressor, *table, "--output", tmp_path / "here.tsv")
    on_the_cpu("predict", "--model", regressor, *table, "--output", tmp_path / "there.tsv")
    np.testing.assert_allclose(tables_of(tmp_path / "here.tsv"), tables_of(tmp_path / "there.tsv"), rtol=1e-3, atol=1e-2)
    aim = [*table, "--metadata-column", "age", "--group-column", "subject"]
    aam("train", *aim, "--output-dir", tmp_path / "ensemble")
    aam(*TRANSFORMER, *aim, *SMALL, "--epochs", 2, "--max-memory-gb", 8, "--output-dir", tmp_path / "bounded")
    aam("explain", "--model", tmp_path / "ensemble", *table, "--group-column", "subject", "--output-dir", tmp_path / "explained")
    aam("explain", "--model", regressor, *table, "--group-column", "subject", "--output-dir", tmp_path / "of_transformer")
    aam("unifrac", *table[:2], "--tree", community / "tree.nwk", "--output", tmp_path / "here.h5")
    aam("doctor")


@pytest.mark.parametrize("metric", MEASURES)
def test_measures_of_a_batch_are_those_of_the_cpu(metric):
    simulated = simulate(4, n_samples=40, n_asvs=60, length=40)
    phylogeny = Phylogeny.from_tree(simulated.tree, simulated.table.feature_ids)
    columns, counts = as_batch(simulated.table.counts.toarray(), np.random.default_rng(0))
    form, expected = (batch_form(metric, 60, phylogeny) for _ in range(2))
    torch.use_deterministic_algorithms(True)
    try:
        found = form.to(DEVICE)(columns.to(DEVICE), counts.to(DEVICE))
    finally:
        torch.use_deterministic_algorithms(False)
    assert found.device.type == DEVICE.type
    torch.testing.assert_close(found.cpu(), expected(columns, counts), rtol=1e-12, atol=1e-12)
