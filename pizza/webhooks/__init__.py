"""Webhooks: their registration, and the deliveries of events."""

from pizza.webhooks.events import dispatch_event

__all__ = ["dispatch_event"]
