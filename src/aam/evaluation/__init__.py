"""How good predictions are, beside the trivial ones."""
