"""Webhooks: registered, fed with events, delivered."""
