"""The run of ``aam benchmark``: read the suite, check every question, fit, score, write."""

from __future__ import annotations

import logging
import shlex
import sys

from aam.benchmark.run import check_suite, run_benchmark
from aam.benchmark.suite import read_suite
from aam.cli.configs import BenchmarkConfig
from aam.cli.run.folder import prepare_run
from aam.errors import Stopped
from aam.evaluation.results import facts_of_run

log = logging.getLogger(__name__)


def run_suite(config: BenchmarkConfig) -> None:
    """Compare the models of a suite, or only check its questions."""
    suite = read_suite(config.suite, config.data_dir)
    folder = config.output.output_dir
    prepare_run(config)
    if config.check:
        found = check_suite(suite, folder, config.caching)
        for name, sentences in found.items():
            sys.stdout.write("".join(f"{name}: {sentence}\n" for sentence in sentences or ["nothing was found"]))
        log.info("wrote %s", folder / "checks.tsv")
        return
    try:
        run_benchmark(suite, folder, config.jobs, facts_of_run(suite.seed, shlex.join(["aam", *sys.argv[1:]])), config.caching)
    except Stopped as stop:
        raise Stopped(stop.number, saved=True) from stop
    log.info("wrote %s", folder / "index.html")
