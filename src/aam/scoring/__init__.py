"""Scores of predictions, conformal intervals, and their plots."""
