"""Tracking: events recorded, stuck orders found, status requests answered."""
