"""The module of a run and a batch for it, on a small simulated community."""

import numpy as np
import torch

from aam.data.dataset import Collate, SampleDataset
from aam.data.phylogeny import Phylogeny
from aam.data.sequences import tokenize
from aam.data.simulate import simulate
from aam.distances.unifrac import UniFrac
from aam.models import SequenceEncoder, SequencePredictor
from aam.options import ComputeOptions, ModelOptions, PretrainObjectives, ReadOptions, TrainFitOptions, TrainObjectives
from aam.study.targets import ClassTarget, RegressionTarget
from aam.training.module import PretrainModule, TrainModule
from aam.training.objectives.taught import UNIFRAC, Taught

OPTIONS = ModelOptions(embedding_dim=16, attention_heads=2, attention_layers=1)
TARGETS = {
    "number": RegressionTarget("zscore").fit(np.arange(24.0)),
    "class": ClassTarget(("a", "b")).fit(np.arange(24) % 2),
}


def module_and_batch(kind, precision):
    """Of pretraining, or of training for a number or a class, with all that is learned without labels beside it."""
    community = simulate(0, n_samples=24, n_asvs=40, length=40)
    compute = ComputeOptions(mixed_precision=precision)
    dataset = SampleDataset(community.table, ReadOptions(), seed=0)
    tokens = tokenize(community.sequences, community.table.feature_ids, 40)
    distance = UniFrac(Phylogeny.from_tree(community.tree, community.table.feature_ids))
    target = TARGETS.get(kind)
    truth = None if target is None else target.learned(np.arange(24.0) if kind == "number" else np.arange(24) % 2)
    batch = Collate(tokens, truth, measures={"unifrac": distance})([dataset[0, row] for row in range(12)])
    encoder, majority = SequenceEncoder(OPTIONS, 40, compute), torch.zeros(41, dtype=torch.int64)
    if target is None:
        learned = PretrainObjectives(count_penalty=0.1)
        return PretrainModule(encoder, Taught(UNIFRAC), learned, TrainFitOptions(), majority, batch), batch
    objectives = TrainObjectives(penalty=0.1, nuc_penalty=0.1)
    model = SequencePredictor(encoder, OPTIONS, target.outputs)
    return TrainModule(model, Taught(UNIFRAC), objectives, TrainFitOptions(), target, majority), batch
