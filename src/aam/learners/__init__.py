"""What fits a model to a problem: transformer, ensemble, baselines."""
