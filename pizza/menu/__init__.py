"""The menu: dishes and prices."""
