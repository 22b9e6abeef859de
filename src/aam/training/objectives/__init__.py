"""What transformers learn from: one objective a file, and what a step makes of them together."""
