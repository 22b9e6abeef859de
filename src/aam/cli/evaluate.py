"""``aam evaluate``: how well a metadata column can be predicted, by AAM and by the usual models, on the same folds."""

from __future__ import annotations

from aam.cli.configs import EvaluateConfig


def evaluate(config: EvaluateConfig) -> None:
    """Evaluate how well a metadata column can be predicted, by AAM and by the usual models, in cross-validation.

    Everything is fitted to the training samples of each fold. The output folder holds a report, index.html.
    """
    from aam.cli.run.evaluating import run_evaluation

    run_evaluation(config)
