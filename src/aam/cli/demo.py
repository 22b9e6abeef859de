"""``aam demo``: the whole tool on a simulated community."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cyclopts import Parameter

from aam.config import OUTPUT, check


@Parameter(name="*", group=OUTPUT)
@dataclass(frozen=True, kw_only=True)
class DemoConfig:
    output_dir: Path = Path("aam-demo")
    """Folder for everything the demo writes."""
    seed: int = 0
    """Seed of the simulated community and of training."""
    overwrite: bool = False
    """Replace an earlier demo."""

    def __post_init__(self) -> None:
        check(self.seed >= 0, "seed", self.seed, "0 or more")


def demo(config: DemoConfig = DemoConfig()) -> None:
    """Simulate a community with a known truth, then pretrain, train and predict on it.

    Takes a few minutes on two cores and needs no data.
    """
    raise NotImplementedError
