"""Several models of one target, each judged on groups that it did not learn from, and their weighted mean."""
