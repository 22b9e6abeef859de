"""An evaluation: what a study can predict, by AAM and by the models that the field uses, on the same folds."""
