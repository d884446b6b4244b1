"""The menu: dishes and prices."""

from pizza.menu.cache import read_menu

__all__ = ["read_menu"]
