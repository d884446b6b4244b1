"""Upkeep of the database, its health, and dead letters."""

from pizza.operations.name_keys import fold_names

__all__ = ["fold_names"]
