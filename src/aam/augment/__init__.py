"""Training samples changed at random, so that a model learns what does not matter. Validation and test samples never are."""
