"""A study: samples, their ASVs and metadata; what to predict in it, and which samples are kept apart."""
