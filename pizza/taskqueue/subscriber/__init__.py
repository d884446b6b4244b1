"""Subscribers: they handle events."""
