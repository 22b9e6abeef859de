"""What AAM costs: `python -m benchmarks.<name>`, one table each. See benchmarks/README.md."""
