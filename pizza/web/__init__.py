"""The HTTP side of the order service."""
