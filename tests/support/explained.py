"""Small fitted models to be explained: an ensemble, and a transformer that was not trained."""

from dataclasses import replace
from functools import cache

import numpy as np
import torch

from aam.explain.links import Outputs
from aam.learners.ensemble import EnsembleLearner
from aam.models import SequencePredictor
from aam.options import EnsembleOptions
from aam.study.targets import ClassTarget, RegressionTarget
from tests.support.encoders import make_encoder
from tests.support.studies import problem_in, simulated_study

OPTIONS = EnsembleOptions(network_steps=30, network_min_epochs=2, forest_trees=8, boosting_rounds=10, tree_prevalence=0.1)


@cache
def ensemble_of(classes=0):
    """A study, an ensemble of a number (0) or of 2 or 3 classes, the study as it sees it, and its outputs."""
    study = simulated_study(n_samples=48, n_asvs=40)
    problem = problem_in(study)
    if classes:
        levels = np.digitize(problem.truth, np.quantile(problem.truth, np.arange(1, classes) / classes))
        problem = replace(problem, truth=levels, target=ClassTarget(("a", "b", "c")[:classes]))
    fitted = EnsembleLearner(OPTIONS, jobs=1).fit(problem, study.rows)
    # All of the members count, and their mean, whatever they are worth.
    weights = {name: 1 / len(fitted.ensemble.members) for name in fitted.ensemble.members}
    ensemble = replace(fitted.ensemble, combination=replace(fitted.ensemble.combination, weights=weights, middle=1.0))
    return study, ensemble, fitted.see(study), Outputs.of(fitted.target.target, "load")


def transformer_of(outputs=1):
    """A transformer in single precision whose every parameter matters, and its outputs."""
    encoder = make_encoder(attention_layers=2).float().eval()
    model = SequencePredictor(encoder, encoder.asv_encoder.options, outputs).eval()
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    target = RegressionTarget("zscore", shift=5.0, scale=3.0) if outputs == 1 else ClassTarget(("a", "b", "c")[:outputs])
    return model, Outputs.of(target, "load")
