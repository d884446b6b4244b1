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
_ANONYMOUS: dict[str, list[str]] = {}

SCHEMES: dict[str, Any] = {
    "staffKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "a staff key; required once the restaurant has one. The roles, "
        "each with the rights of those before it: monitor, station, staff, manager",
    },
    "trackingToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "tracking_token in the response to an order; valid for that order only",
    },
}

# The credentials that an operation accepts, where it is not a key alone.
_SCHEMES_FOR: dict[Permission, list[dict[str, list[str]]]] = {
    Permission.PUBLIC: [],
    Permission.PARTIAL: [_ANONYMOUS, _KEY, _TOKEN],
    Permission.OWNER: [_KEY, _TOKEN],
}
# The statuses of refusals, where they are not 401, 403 and 429.
_REFUSALS = {Permission.PUBLIC: (429,), Permission.PARTIAL: (401, 429)}


def add_security(document: dict[str, Any], authenticator: Authenticator) -> dict[str, Any]:
    """Return a copy of the document with the security requirements of each operation."""
    try:
        required = authenticator.auth_required()
    except DatabaseUnavailable:
        required = True
    found = copy.deepcopy(document)
    for item in found["paths"].values():
        for operation in item.values():
            permission = permission_of(operation["operationId"])
            schemes = _SCHEMES_FOR.get(permission, [_KEY])
            if operation["operationId"] == "place_order":
                schemes = [_ANONYMOUS, _KEY]
            if schemes and not required:
                schemes = [_ANONYMOUS, *(each for each in schemes if each)]
            operation["security"] = schemes
            if permission in REQUIRED_ROLE:
                role = operation["x-role"] = REQUIRED_ROLE[permission]
                sentence = f"A key needs at least the role {role}."
                before = operation.get("description")
                operation["description"] = f"{before} {sentence}" if before else sentence
            refusals = _REFUSALS.get(permission, (401, 403, 429))
            for status, answer in openapi.problems(*refusals).items():
                operation["responses"].setdefault(str(status), answer)
    return found
