"""The run of ``aam explain``: load, read, explain, write."""

from __future__ import annotations

import logging
import shlex
import sys

from aam.cli.configs import ExplainConfig
from aam.cli.run.folder import start_run
from aam.compute import check_compute
from aam.explain.run import Explanation
from aam.saved.load import load_folder
from aam.saved.predictions import warn_of_learned, warn_of_novelty
from aam.study.new_samples import read_new_samples

log = logging.getLogger(__name__)


def run_explaining(config: ExplainConfig) -> Explanation:
    """Explain the predictions of the samples of a table, and write that; what was written."""
    check_compute(config.compute)
    folder, options = start_run(config, alone="explain"), config.explaining
    fitted = load_folder(config.trained.model, "model", config.compute, config.trained.batch_size)
    needed = fitted.target.covariates.columns
    if options.permutation:
        needed = (*needed, fitted.target.metadata_column)
    study, _ = read_new_samples(
        config.data,
        fitted.info.reads,
        config.chosen,
        needed,
        by_id=not fitted.reads_sequences,
        groups=(options.group_column, options.confounder_column),
    )
    warn_of_learned(fitted, study)
    warn_of_novelty(fitted, study, fitted.measure(study))
    facts = {"model": config.trained.model.name, "table": config.data.table.name, "command": shlex.join(["aam", *sys.argv[1:]])}
    explanation = fitted.explain(study, show=True, keep_in=folder / "kept", **vars(options))
    explanation.write(folder, facts)
    log.info("%s", explanation.verdict)
    log.info("wrote %s", folder / "explain.html")
    return explanation
