"""Whether the parts work here: small computations whose result is known."""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from aam.compute import default_device
from aam.data.dataset import Batch, Collate, SampleDataset, measured
from aam.data.newick import nodes_of
from aam.data.phylogeny import Phylogeny
from aam.data.sequences import tokenize
from aam.data.simulate import Simulation, simulate
from aam.data.tree_building import build_tree
from aam.distances.unifrac import UniFrac
from aam.errors import one_line
from aam.models import SequenceEncoder
from aam.options import ModelOptions, PretrainObjectives, ReadOptions
from aam.saved.info import ModelInfo
from aam.saved.load import load_encoder
from aam.saved.transformer import FittedEncoder
from aam.training.objectives.label_free import self_supervised, self_supervised_losses, total_loss
from aam.training.objectives.taught import UNIFRAC
from aam.training.step import Step

_OPTIONS = ModelOptions(embedding_dim=32, attention_heads=4, attention_layers=1)
_STEPS = 60


@dataclass(frozen=True)
class Found:
    """Whether a check went well, and a line on it."""

    good: bool
    line: str


@dataclass(frozen=True)
class Check:
    """What is checked: a function that says what it found, and raises what went wrong."""

    name: str
    run: Callable[[], str]


class Skipped(Exception):  # noqa: N818 - nothing is wrong
    """What a check needs is not installed, and need not be."""


def run_check(check: Check) -> Found:
    """Run one and time it; whatever goes wrong is what is asked for."""
    begin, level = time.perf_counter(), logging.root.manager.disable
    # What the parts report of their work is not asked for.
    logging.disable(logging.INFO)
    try:
        said = check.run()
    except Skipped as reason:
        return Found(True, f"{check.name}: skipped, {reason}")
    except Exception as error:  # noqa: BLE001 - of whatever kind
        return Found(False, f"{check.name}: FAILED, {type(error).__name__}: {one_line(error)}")
    finally:
        logging.disable(level)
    return Found(True, f"{check.name}: ok, {said}, {time.perf_counter() - begin:.1f} s")


def unifrac_is_right() -> str:
    """Unweighted UniFrac of a batch against scikit-bio's."""
    from skbio.diversity import beta_diversity

    community, batch, phylogeny = _community()
    device = default_device()
    ours = UniFrac(phylogeny, "unweighted").to(device)(batch.to(device).columns, batch.counts.to(device)).cpu().double().numpy()
    counts = community.table.counts[np.arange(len(batch.counts))].toarray()
    theirs = beta_diversity("unweighted_unifrac", counts, taxa=list(community.table.feature_ids), tree=community.tree).data
    error = float(np.abs(ours - theirs).max())
    if error > 1e-5:
        raise ValueError(f"{error:.2g} from scikit-bio's")
    return f"at most {error:.0e} from scikit-bio's"


def tree_is_built() -> str:
    """A tree of few sequences, by programs that need libraries of the system; where they are installed."""
    if not all(map(find_spec, ("pyfamsa", "veryfasttree"))):
        raise Skipped("the extra `tree` is not installed")
    community = _community()[0]
    tips = build_tree(community.sequences, community.table.feature_ids).count(tips=True)
    if tips != len(community.sequences):
        raise ValueError(f"{tips} tips for {len(community.sequences)} sequences")
    return f"{tips} tips"


def encoder_learns() -> str:
    """Eight samples by heart."""
    _, batch, phylogeny = _community()
    device = default_device()
    torch.manual_seed(0)
    encoder = SequenceEncoder(_OPTIONS, batch.asv_tokens.shape[1] - 1).to(device)
    batch = replace(batch, measured=measured({"unifrac": UniFrac(phylogeny)}, batch)).to(device)
    encoder.calibrate(batch.asv_tokens, batch.asv_index, batch.counts)
    step = Step.alone(batch)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=3e-3)
    losses = []
    for _ in range(_STEPS):
        outcome = self_supervised(encoder, step, PretrainObjectives(nuc_penalty=0), UNIFRAC)
        loss = total_loss(self_supervised_losses(outcome, step), {"unifrac": 1.0})
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    if not losses[-1] < 0.5 * losses[0]:
        raise ValueError(f"the loss went from {losses[0]:.3g} to {losses[-1]:.3g}")
    return f"loss {losses[0]:.3g} to {losses[-1]:.2g} in {_STEPS} steps on {default_device().type}"


def model_is_kept() -> str:
    """A model folder, written and read."""
    _, batch, _ = _community()
    length = batch.asv_tokens.shape[1] - 1
    encoder = SequenceEncoder(_OPTIONS, length).eval()
    with tempfile.TemporaryDirectory() as scratch, torch.inference_mode():
        folder = Path(scratch) / "model"
        FittedEncoder(encoder=encoder, info=ModelInfo(_OPTIONS, ReadOptions(max_bp=length), "unweighted")).save(folder)
        size = sum(path.stat().st_size for path in folder.iterdir())
        read = load_encoder(folder, "folder").encoder
        same = [model(batch.asv_tokens, batch.asv_index, batch.counts) for model in (encoder, read)]
    if not torch.equal(*same):
        raise ValueError("what was read gives other embeddings")
    return f"{size / 1e3:.0f} kB written and read back"


CHECKS = (
    Check("UniFrac is right", unifrac_is_right),
    Check("a tree is built", tree_is_built),
    Check("an encoder learns", encoder_learns),
    Check("a model is kept", model_is_kept),
)


def _community() -> tuple[Simulation, Batch, Phylogeny]:
    community = simulate(0, n_samples=8, n_asvs=40, length=60)
    tokens = tokenize(community.sequences, community.table.feature_ids, 60)
    dataset = SampleDataset(community.table, ReadOptions(), seed=0)
    batch = Collate(tokens)([dataset[0, row] for row in range(8)])
    return community, batch, Phylogeny.from_nodes(nodes_of(community.tree), community.table.feature_ids)
