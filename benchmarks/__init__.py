"""The node and its peers side by side: `python -m benchmarks`. See README.md beside this file."""
