"""UniFrac: `aam.distances.unifrac` of a batch, `aam.distances.matrix` of a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from scipy import sparse

from aam.distances.matrix import compare_all, fastest_device
from aam.distances.registry import Setting
from aam.options import UniFracMetric

if TYPE_CHECKING:
    from torch import nn


def of_table(counts: sparse.csr_array, setting: Setting) -> np.ndarray:
    """Distances [N, N] of a table."""
    return compare_all(counts, setting.tree, _metric(setting), setting.alpha, device=fastest_device())


def of_batches(setting: Setting) -> nn.Module:
    """Of a batch."""
    from aam.distances.unifrac import UniFrac

    return UniFrac(setting.tree, _metric(setting), setting.alpha)


def _metric(setting: Setting) -> UniFracMetric:
    return cast("UniFracMetric", setting.name)
