"""Fault scenarios: each is injected into a full restaurant under load, and ends in a report."""
