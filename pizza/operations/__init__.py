"""Upkeep of the database, its health, and dead letters."""
