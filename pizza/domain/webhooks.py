"""Webhooks: types of events, payloads and signatures (Standard Webhooks 1.0.0)."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from pizza.domain.status import STATUSES

TEST = "webhook.test"
UPDATED = "order.updated"
# A change of status has a type for each status; UPDATED is any other change of an order.
TYPES = (*(f"order.{status.replace('-', '_')}" for status in STATUSES), UPDATED)

SECRET_BYTES = 32
_PREFIX = "whsec_"


def event_type(old: str | None, new: str) -> str:
    """The type of an event that changes an order's status from `old` to `new`."""
    return UPDATED if old == new else f"order.{new.replace('-', '_')}"


def payload(type: str, at: datetime, data: Mapping[str, Any]) -> str:
    """The body of a delivery: compact JSON in ASCII, the same in each attempt."""
    moment = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"type": type, "timestamp": moment, "data": data}, separators=(",", ":"))


def format_secret(secret: bytes) -> str:
    """A signing secret as text, for its receiver."""
    return _PREFIX + base64.b64encode(secret).decode()


def signatures(secrets: Iterable[bytes], id: str, timestamp: int, body: str) -> str:
    """The header webhook-signature: a signature with each secret, newest first.

    timestamp: of this attempt, in seconds since 1970.
    """
    signed = f"{id}.{timestamp}.{body}".encode()
    marks = (hmac.digest(secret, signed, "sha256") for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(mark).decode()}" for mark in marks)
