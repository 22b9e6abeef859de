"""scikit-learn estimators: `AAMRegressor` and `AAMClassifier` predict, `AAMEncoder` embeds."""

from __future__ import annotations

from aam.sklearn.classifier import AAMClassifier
from aam.sklearn.encoder import AAMEncoder
from aam.sklearn.regressor import AAMRegressor

__all__ = ["AAMClassifier", "AAMEncoder", "AAMRegressor"]
