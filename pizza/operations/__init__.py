"""Upkeep of the database, its health, and dead letters."""

from pizza.operations.name_key_storage import fold_names

__all__ = ["fold_names"]
