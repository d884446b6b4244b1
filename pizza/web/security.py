"""What the API's description says of keys and tokens, from the rules of pizza.web.gate."""

from __future__ import annotations

import copy
from typing import Any

from pizza.database.errors import DatabaseUnavailable
from pizza.services.doors import Doors
from pizza.web import docs
from pizza.web.gate import Rule, rule_of

_KEY: dict[str, list[str]] = {"staffKey": []}
_TOKEN: dict[str, list[str]] = {"trackingToken": []}
_NOTHING: dict[str, list[str]] = {}

SCHEMES: dict[str, Any] = {
    "staffKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "a key of the staff; needed once the restaurant has one",
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
    Rule.STAFF: [_KEY],
    Rule.MONITOR: [_KEY],
}
_REFUSALS = {
    Rule.EVERYBODY: (429,),
    Rule.PART: (401, 429),
    Rule.OWN: (401, 403, 429),
    Rule.STAFF: (401, 403, 429),
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
            for status, answer in docs.problems(*_REFUSALS[rule]).items():
                operation["responses"].setdefault(str(status), answer)
    return found


def _some(ways: list[dict[str, list[str]]]) -> list[dict[str, list[str]]]:
    return [way for way in ways if way]
