"""The restaurant's use cases, on the task framework and the storage."""
