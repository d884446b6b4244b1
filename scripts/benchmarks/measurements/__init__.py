"""One module for each line of the benchmark's table."""
