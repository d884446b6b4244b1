"""Reports for managers, and the values of metrics."""
