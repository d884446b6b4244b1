"""The benchmark behind scripts/bench: one module for each line of its table."""
