"""``aam demo``: the whole tool on a simulated community."""

from __future__ import annotations

from aam.cli.configs import DemoConfig
from aam.disk.places import check_output_file


def demo(config: DemoConfig = DemoConfig()) -> None:
    """Simulate a community with a known truth, then pretrain, train, predict and explain on it.

    Takes a few minutes on two cores and needs no data.
    """
    check_output_file(config.output_dir / "data" / "table.biom", config.overwrite, (".biom",))
    from aam.cli.run.demonstration import run_demo

    run_demo(config)
