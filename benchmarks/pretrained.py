"""The pretrained encoder that is shipped: `python -m benchmarks.pretrained`."""

from __future__ import annotations

from aam.learners.pretraining import PretrainingLearner
from aam.options import AugmentOptions, FitOptions, ModelOptions, PretrainObjectives

MODEL = ModelOptions(embedding_dim=256, attention_layers=0, clades=2048)
OBJECTIVES = PretrainObjectives(nuc_penalty=0.0)
FIT = FitOptions(batch_size=96, epochs=5, optimizer="adamw")
AUGMENT = AugmentOptions(augment="cutmix,dropout,trim")
GROUPS_IN_BATCH = 6


def learner(*, show: bool) -> PretrainingLearner:
    """What pretrains it."""
    return PretrainingLearner(
        model=MODEL, objectives=OBJECTIVES, options=FIT, augment=AUGMENT, groups_in_batch=GROUPS_IN_BATCH, show=show
    )
