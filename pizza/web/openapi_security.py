"""The security schemes in the OpenAPI document, from pizza.web.security.authorization."""

from __future__ import annotations

import copy
from typing import Any

from pizza.auth.authenticator import Authenticator
from pizza.database.errors import DatabaseUnavailable
from pizza.web import openapi
from pizza.web.security.authorization import REQUIRED_ROLE, Permission, permission_of

_KEY: dict[str, list[str]] = {"staffKey": []}
_TOKEN: dict[str, list[str]] = {"trackingToken": []}
_NOTHING: dict[str, list[str]] = {}

SCHEMES: dict[str, Any] = {
    "staffKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "a key of the staff; needed once the restaurant has one. The roles, "
        "each with the rights of those before it: monitor, station, staff, manager",
    },
    "trackingToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "tracking_token of the answer to an order, for that order alone",
    },
}

# What may be shown, and the answers of those who are let in and those who are not.
_WAYS: dict[Permission, list[dict[str, list[str]]]] = {
    Permission.PUBLIC: [],
    Permission.PARTIAL: [_NOTHING, _KEY, _TOKEN],
    Permission.OWNER: [_KEY, _TOKEN],
    Permission.STATION: [_KEY],
    Permission.STAFF: [_KEY],
    Permission.MANAGER: [_KEY],
    Permission.MONITOR: [_KEY],
}
_REFUSALS = {
    Permission.PUBLIC: (429,),
    Permission.PARTIAL: (401, 429),
    Permission.OWNER: (401, 403, 429),
    Permission.STATION: (401, 403, 429),
    Permission.STAFF: (401, 403, 429),
    Permission.MANAGER: (401, 403, 429),
    Permission.MONITOR: (401, 403, 429),
}


def secured(document: dict[str, Any], authenticator: Authenticator) -> dict[str, Any]:
    """The description, with what each operation requires as authentication is now."""
    try:
        closed = authenticator.auth_required()
    except DatabaseUnavailable:
        closed = True
    found = copy.deepcopy(document)
    for item in found["paths"].values():
        for operation in item.values():
            permission = permission_of(operation["operationId"])
            ways = (
                [_NOTHING, _KEY] if operation["operationId"] == "place_order" else _WAYS[permission]
            )
            operation["security"] = ways if closed or not ways else [_NOTHING, *_some(ways)]
            if permission in REQUIRED_ROLE:
                operation["x-role"] = REQUIRED_ROLE[permission]
                _add_sentence(
                    operation, f"A key needs at least the role {REQUIRED_ROLE[permission]}."
                )
            for status, answer in openapi.problems(*_REFUSALS[permission]).items():
                operation["responses"].setdefault(str(status), answer)
    return found


def _add_sentence(operation: dict[str, Any], sentence: str) -> None:
    said = operation.get("description")
    operation["description"] = f"{said} {sentence}" if said else sentence


def _some(ways: list[dict[str, list[str]]]) -> list[dict[str, list[str]]]:
    return [way for way in ways if way]
