"""What a run is to the command line: its folder, lock, log, inputs and results."""
