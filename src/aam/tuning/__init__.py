"""A search of the options of a recipe: trials on inner folds of the training samples, a choice, and an honest score of it."""
