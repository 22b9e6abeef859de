"""Files: written whole or not at all, kept from run to run, checked when they are read."""
