"""Augmentations by name, in the order in which they are applied: samples are mixed first, sequences are changed last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from aam.augment.contamination import contaminate
from aam.augment.cutmix import cutmix
from aam.augment.dropout import drop
from aam.augment.mixup import mixup
from aam.augment.phylomix import phylomix
from aam.augment.reverse import turn
from aam.augment.sample import Augmentation, Context, Sample
from aam.augment.substitutions import substitute
from aam.augment.thinning import thin
from aam.augment.trim import trim
from aam.options import AugmentName, Step

AUGMENTATIONS: Mapping[AugmentName, Augmentation] = {
    "phylomix": phylomix,
    "cutmix": cutmix,
    "mixup": mixup,
    "contaminate": contaminate,
    "dropout": drop,
    "rarefy": thin,
    "errors": substitute,
    "reverse": turn,
    "trim": trim,
}
# Tells the draws of augmentations from those of rarefaction, which have the same seed.
_STREAM = 1


def augmented(sample: Sample, steps: Sequence[Step], context: Context, seed: tuple[int, ...]) -> tuple[Sample, np.random.Generator]:
    """The sample after all steps, and the generator that made it: same seed (of run, epoch and sample), same sample."""
    rng = np.random.default_rng((*seed, _STREAM))
    strengths = dict(steps)
    for name, change in AUGMENTATIONS.items():
        if name in strengths:
            sample = change(sample, strengths[name], rng, context)
    return sample, rng


def mixed_target(learned: np.ndarray, sample: Sample, rng: np.random.Generator) -> np.generic:
    """The target of a sample, from what its parents' are, learned [N]: of numbers the weighted mean; of classes one of theirs,
    drawn by the weights, so that the mean over draws of the loss is that of the mixed target.
    """
    targets = learned[sample.parents]
    if learned.dtype.kind == "f":
        return learned.dtype.type(sample.weights @ targets)
    return targets[0] if len(targets) == 1 else targets[rng.choice(len(targets), p=sample.weights)]
