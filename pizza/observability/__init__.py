"""Logs: their format, and how they are written."""
