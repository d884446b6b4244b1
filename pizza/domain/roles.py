"""Roles of keys and sessions, from the least to the greatest; each may do what those before may."""

from __future__ import annotations

MONITOR, STATION, STAFF, MANAGER = "monitor", "station", "staff", "manager"
ROLES = (MONITOR, STATION, STAFF, MANAGER)

PERSON, DEVICE = "person", "device"
KINDS = (PERSON, DEVICE)


def includes(role: str | None, least: str) -> bool:
    """Whether a role (None: no role) may do what needs `least`. An unknown role may do nothing."""
    return role in ROLES and ROLES.index(role) >= ROLES.index(least)
