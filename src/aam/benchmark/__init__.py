"""A benchmark: models beside each other on many questions, on the same folds of each; ranks, wins and losses, learning curves."""
