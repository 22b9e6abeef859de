"""scikit-learn estimators: `AAMRegressor` and `AAMClassifier` predict, `AAMEncoder` embeds."""

from __future__ import annotations

from aam.sklearn.encoder import AAMEncoder
from aam.sklearn.predictors import AAMClassifier, AAMRegressor

__all__ = ["AAMClassifier", "AAMEncoder", "AAMRegressor"]
