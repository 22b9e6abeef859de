"""``aam tune``: options of a recipe that suit a question better than the defaults, if there are any."""

from __future__ import annotations

from aam.cli.configs import TuneConfig


def tune(config: TuneConfig) -> None:
    """Search the options of `aam train` on inner folds of the training samples, and say what that buys on test samples.

    The options are those of train. The output folder holds best.yaml for `aam train --config`, trials.tsv and tune.html.
    """
    from aam.cli.run.tuning import run_tuning

    run_tuning(config)
