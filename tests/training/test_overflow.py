"""Numbers that overflow, in float16 with a scaled loss (on a GPU `--mixed-precision fp16` is these parts), and at high rates."""

import lightning as L
import numpy as np
import pytest
import torch

from aam.data.dataset import Collate, SampleDataset, make_loader
from aam.data.phylogeny import Phylogeny
from aam.data.sequences import tokenize
from aam.data.simulate import simulate
from aam.distances.unifrac import UniFrac
from aam.errors import InputError
from aam.models import SequenceEncoder
from aam.options import ComputeOptions, FitOptions, ModelOptions, PretrainObjectives, ReadOptions
from aam.training.checkpoint_files import CheckpointFiles
from aam.training.checkpoints import Checkpoints
from aam.training.fit import ScaledLosses, quiet_lightning
from aam.training.learning_rate import find_learning_rate
from aam.training.module import PretrainModule
from aam.training.objectives.taught import UNIFRAC, Taught

OPTIONS = ModelOptions(embedding_dim=16, attention_heads=2, attention_layers=1)
FIT = FitOptions(batch_size=8, epochs=6, lr=3e-3)


@pytest.fixture
def run(tmp_path):
    """A module, and what fits it with a first loss scale."""
    community = simulate(0, n_samples=40, n_asvs=30, length=30)
    table = community.table
    distance = UniFrac(Phylogeny.from_tree(community.tree, table.feature_ids))
    collate = Collate(tokenize(community.sequences, table.feature_ids, 150), measures={"unifrac": distance})
    dataset = SampleDataset(table, ReadOptions(), seed=0)
    probe = collate([dataset[0, row] for row in range(8)])
    torch.manual_seed(0)
    encoder = SequenceEncoder(OPTIONS, 150, ComputeOptions(mixed_precision="fp16"))
    encoder.calibrate(probe.asv_tokens, probe.asv_index, probe.counts)
    majority = torch.zeros(probe.asv_tokens.shape[1], dtype=torch.int64)
    module = PretrainModule(encoder, Taught(UNIFRAC), PretrainObjectives(), FIT, majority, probe)
    train, val = (
        make_loader(dataset, collate, rows, FIT.batch_size, shuffle=shuffle)
        for rows, shuffle in ((np.arange(32), True), (np.arange(32, 40), False))
    )

    def fit(scale):
        quiet_lightning()
        scaler = torch.amp.GradScaler("cpu", init_scale=scale)
        checkpoints = Checkpoints(tmp_path / "checkpoints", "val/loss", higher_is_better=False, minutes=1e-6)
        trainer = L.Trainer(
            accelerator="cpu",
            plugins=[ScaledLosses("16-mixed", "cpu", scaler), CheckpointFiles()],
            callbacks=[checkpoints],
            max_epochs=FIT.epochs,
            gradient_clip_val=FIT.gradient_clip,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        trainer.fit(module, train, val)
        return scaler, float(trainer.callback_metrics["val/loss"])

    return module, fit, train


def finite(path):
    state = torch.load(path, weights_only=True)
    return all(value.isfinite().all() for value in state["state_dict"].values())


def test_steps_whose_gradients_overflow_are_left_out(run, tmp_path):
    module, fit, _ = run
    before = {name: value.clone() for name, value in module.state_dict().items()}
    scaler, loss = fit(scale=2.0**30)
    # Halved at each overflow, and no run ends with all its steps left out.
    assert scaler.get_scale() < 2.0**28
    assert np.isfinite(loss)
    assert all(value.isfinite().all() for value in module.state_dict().values())
    assert any(not torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert finite(tmp_path / "checkpoints" / "last.ckpt")
    # The scale is part of what a run goes on from.
    saved = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved["ScaledLosses"]["scale"] == scaler.get_scale()


def test_activations_that_overflow_stop_the_run_with_their_samples(run, tmp_path):
    module, fit, _ = run
    fit(scale=1024.0)
    good = (tmp_path / "checkpoints" / "last.ckpt").read_bytes()
    with torch.no_grad():
        for name, weights in module.model.named_parameters():
            if name.endswith("weight") and weights.ndim == 2:
                # Well within float32, and beyond 65,504.
                weights.mul_(1e4)
    with pytest.raises(InputError, match="the loss is not finite in step 1 of epoch 1"):
        fit(scale=1024.0)
    assert (tmp_path / "checkpoints" / "last.ckpt").read_bytes() == good
    samples = (tmp_path / "bad_batch.txt").read_text().split()
    assert len(samples) == 8


def test_what_overflows_at_high_learning_rates_does_not_stop_the_run_that_follows(run, tmp_path):
    module, fit, train = run
    # As the loss at one of the rates may leave it.
    module.first_bad.fill_(3)
    assert 1e-6 < find_learning_rate(module, train, tmp_path, {"accelerator": "cpu", "enable_progress_bar": False}) < 0.3
    fit(scale=1024.0)
