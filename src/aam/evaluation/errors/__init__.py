"""Where a model is wrong, and for whom."""
