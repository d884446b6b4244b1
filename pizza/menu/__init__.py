"""The menu: dishes and prices."""

from pizza.menu.cache import Menu, MenuCache, read_menu

__all__ = ["Menu", "MenuCache", "read_menu"]
