"""Personal data of a customer: what remains of it after an erasure, and how it is recognised."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pizza.domain.names import fold_name

# Replaces the name of a customer. Nothing is compared with it: the key of an erased order is empty.
ERASED = "(erased)"

# The fields of a notification without personal data.
_EVENT_FIELDS = (
    "order_number", "old_status", "new_status", "timestamp", "estimated_completion", "event_id",
    "sequence", "order_type", "priority", "stage",
)  # fmt: skip


def redact_event(body: Mapping[str, Any]) -> dict[str, Any]:
    """A notification without personal data, and without fields that other programs have added."""
    kept = {name: body[name] for name in _EVENT_FIELDS if name in body}
    return kept | {"changed_by": ERASED, "customer_name": ERASED, "notes": None}


def redact_payload(payload: str) -> str:
    """The body of a webhook delivery without personal data."""
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        return "{}"
    kept = {name: document[name] for name in ("type", "timestamp") if name in document}
    data = document.get("data")
    erased = redact_event(data) if isinstance(data, dict) else {}
    return json.dumps(kept | {"data": erased}, separators=(",", ":"))


class CustomerMatcher:
    """Recognises messages and texts about one customer."""

    def __init__(self, keys: Collection[str], numbers: Collection[str]) -> None:
        """keys: folded spellings of the name (pizza.domain.names); numbers: of the orders."""
        self._keys, self._numbers = frozenset(keys), frozenset(numbers)
        words = "|".join(re.escape(key) for key in sorted(self._keys, key=len, reverse=True))
        self._phrase = re.compile(rf"(?<!\w)(?:{words})(?!\w)")

    def in_text(self, text: str) -> bool:
        """Whether a text contains the name, as whole words."""
        return self._phrase.search(fold_name(text)) is not None

    def in_message(self, body: bytes, *others: object) -> bool:
        """Whether a message is about the customer: it contains an order's number or the name.

        A body with the name of another customer is about that one. others: further texts and
        headers of the message.
        """
        document = _parsed(body)
        if isinstance(document, dict):
            number, name = document.get("order_number"), document.get("customer_name")
            if isinstance(number, str) and number in self._numbers:
                return True
            if isinstance(name, str) and name.strip() and fold_name(name) != ERASED:
                return fold_name(name) in self._keys
        texts = [*_texts(document), *(text for each in others for text in _texts(each))]
        return any(text in self._numbers or self.in_text(text) for text in texts)


def _parsed(body: bytes) -> Any:
    """The JSON of a body, or its text."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode(errors="replace")


def _texts(value: object) -> Iterator[str]:
    """All texts in a JSON document, keys too."""
    pending = [value]
    while pending:
        each = pending.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, Mapping):
            pending += [*each.keys(), *each.values()]
        elif isinstance(each, list | tuple):
            pending += each
