"""``aam benchmark``: models beside each other on many questions, on the same folds of each."""

from __future__ import annotations

from aam.cli.configs import BenchmarkConfig


def benchmark(config: BenchmarkConfig) -> None:
    """Compare models on many questions: AAM, the usual models, and any estimator of scikit-learn, on the same folds.

    A YAML file names tables, columns to predict, groups and models. The output folder holds a report, index.html.
    """
    from aam.cli.run.benchmarking import run_suite

    run_suite(config)
