"""What an ensemble is made of: set networks, linear and kernel models and trees, and how each is fitted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aam.options.checks import Options, check, check_counts
from aam.options.models import ModelOptions

# Members by the name that they have in model folders, and what people call them.
MEMBER_LABELS: Mapping[str, str] = {
    "network": "set networks",
    "presence": "linear model of ASV presence",
    "ratio": "linear model of log-ratios",
    "identity": "kernel model of ASV presence",
    "sequence": "kernel model of sequences",
    "wide": "kernel model of presence, abundance and sequences",
    "forest": "random forest",
    "extra": "extra trees",
    "boosting": "boosted trees",
}


@dataclass(frozen=True, kw_only=True)
class EnsembleOptions(Options):
    """Sizes, folds, epochs and rates of the members of an ensemble. Every field has its default.

    Examples
    --------
    >>> import aam
    >>> aam.EnsembleOptions(trees=False, network_steps=200).network_steps
    200

    """

    trees: bool = True
    """Include a random forest, extra trees and boosted trees; without them the ensemble has set networks, linear and kernel
    models."""
    cross_fit_folds: int = 5
    """Folds of cross-fitting: every training sample is also predicted by members that did not see its group."""
    known_asv_samples: int = 3
    """Training samples that an ASV must occur in for its identity to be learned."""
    vector_dim: int = 256
    """Maximum number of dimensions of the fixed ASV vectors (from counts of 6-letter words)."""
    network_dim: int = 64
    """Width of the set network."""
    network_heads: int = 4
    """Attention heads of the set network."""
    network_dropout: float = 0.1
    """Dropout in the head of the set network."""
    network_batch_size: int = 32
    """Batch size of the set network."""
    network_steps: int = 400
    """Steps to aim for when the number of epochs of the set network is chosen."""
    network_min_epochs: int = 5
    """Minimum number of epochs of the set network."""
    network_max_epochs: int = 20
    """Maximum number of epochs of the set network."""
    network_lr: float = 2e-3
    """Peak learning rate of the set network (AdamW)."""
    network_weight_decay: float = 0.05
    """Weight decay of the set network."""
    identity_weight_decay: float = 1.0
    """Weight decay of the embedding of each known ASV: what few samples say of an ASV is pulled to zero."""
    asv_dropout: float = 0.5
    """Maximum share of a sample's ASVs that is left out at random while the set network trains."""
    kernel_tuning_samples: int = 600
    """Training samples that the shares of the kernels are chosen on."""
    kernel_max_samples: int = 4000
    """Maximum number of training samples of a kernel model; its cost grows with their cube."""
    forest_trees: int = 200
    """Trees of the random forest, and of the extra trees."""
    forest_max_samples: int = 10_000
    """Maximum number of training samples of one tree of a forest."""
    boosting_rounds: int = 200
    """Rounds of gradient boosting."""
    boosting_lr: float = 0.06
    """Learning rate of gradient boosting."""
    tree_prevalence: float = 0.01
    """Share of the training samples (and two at least) that an ASV must occur in to be a feature of trees and linear models."""

    def __post_init__(self) -> None:
        super().__post_init__()
        whole = [name for name, value in vars(self).items() if isinstance(value, int) and not isinstance(value, bool)]
        check_counts(self, *whole)
        check(self.cross_fit_folds >= 2, "cross_fit_folds", self.cross_fit_folds, "at least 2")
        for option in ("network_lr", "boosting_lr"):
            check(getattr(self, option) > 0, option, getattr(self, option), "above 0")
        for option in ("network_weight_decay", "identity_weight_decay"):
            check(getattr(self, option) >= 0, option, getattr(self, option), "0 or more")
        for option in ("network_dropout", "asv_dropout", "tree_prevalence"):
            check(0.0 <= getattr(self, option) < 1.0, option, getattr(self, option), "0 or more and below 1")
        heads = 2 * self.network_heads
        check(self.network_dim % heads == 0, "network_dim", self.network_dim, f"a multiple of {heads} (2 x `network_heads`)")
        least, most = self.network_min_epochs, self.network_max_epochs
        check(least <= most, "network_min_epochs", least, f"at most {most} (`network_max_epochs`)")

    @property
    def network(self) -> ModelOptions:
        """The shape of the set network."""
        return ModelOptions(
            embedding_dim=self.network_dim,
            attention_heads=self.network_heads,
            dropout=self.network_dropout,
        )
