"""Model folders, and the fitted models that come out of them."""
