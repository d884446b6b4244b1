"""The security schemes in the OpenAPI document, from pizza.web.security.authorization."""

from __future__ import annotations

import copy
from typing import Any

from pizza.auth.authenticator import Doors
from pizza.database.errors import DatabaseUnavailable
from pizza.web import openapi
from pizza.web.security.authorization import LEAST, Rule, rule_of

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
_WAYS: dict[Rule, list[dict[str, list[str]]]] = {
    Rule.EVERYBODY: [],
    Rule.PART: [_NOTHING, _KEY, _TOKEN],
    Rule.OWN: [_KEY, _TOKEN],
    Rule.STATION: [_KEY],
    Rule.STAFF: [_KEY],
    Rule.MANAGER: [_KEY],
    Rule.MONITOR: [_KEY],
}
_REFUSALS = {
    Rule.EVERYBODY: (429,),
    Rule.PART: (401, 429),
    Rule.OWN: (401, 403, 429),
    Rule.STATION: (401, 403, 429),
    Rule.STAFF: (401, 403, 429),
    Rule.MANAGER: (401, 403, 429),
    Rule.MONITOR: (401, 403, 429),
}


def secured(document: dict[str, Any], doors: Doors) -> dict[str, Any]:
    """The description, with what each operation asks for as the doors are now."""
    try:
        closed = doors.closed()
    except DatabaseUnavailable:
        closed = True
    found = copy.deepcopy(document)
    for item in found["paths"].values():
        for operation in item.values():
            rule = rule_of(operation["operationId"])
            ways = [_NOTHING, _KEY] if operation["operationId"] == "place_order" else _WAYS[rule]
            operation["security"] = ways if closed or not ways else [_NOTHING, *_some(ways)]
            if rule in LEAST:
                operation["x-role"] = LEAST[rule]
                _add_sentence(operation, f"A key needs at least the role {LEAST[rule]}.")
            for status, answer in openapi.problems(*_REFUSALS[rule]).items():
                operation["responses"].setdefault(str(status), answer)
    return found


def _add_sentence(operation: dict[str, Any], sentence: str) -> None:
    said = operation.get("description")
    operation["description"] = f"{said} {sentence}" if said else sentence


def _some(ways: list[dict[str, list[str]]]) -> list[dict[str, list[str]]]:
    return [way for way in ways if way]
