"""Authentication: staff keys, sessions, and customers' tokens."""

from pizza.auth.keys import ENVIRONMENT_PREFIX

__all__ = ["ENVIRONMENT_PREFIX"]
