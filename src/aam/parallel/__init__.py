"""Several processes and threads: ranks, what they add up together, signals that ask them to stop."""
