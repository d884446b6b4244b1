"""Domain objects as dicts, for the responses to staff and for `--json` of the CLI."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from pizza.customers.storage import Customer
from pizza.domain.menu import Dish
from pizza.domain.order import Order, OrderSummary, StatusChange
from pizza.domain.webhooks import TYPES
from pizza.kitchen.storage import KitchenState
from pizza.kitchen.worker_storage import WorkerStatus
from pizza.reports.storage import DayReport, Figures, PriorityWait
from pizza.webhooks.storage import Webhook, WebhookDelivery

Document = dict[str, Any]


class DocumentType:
    """Turns a dataclass into a JSON object: a member for each field.

    names: of members that differ from their fields. computed: properties that are members as well.
    """

    def __init__(
        self, source: type, names: Mapping[str, str] | None = None, computed: Sequence[str] = ()
    ) -> None:
        self.source = source
        fields = (field.name for field in dataclasses.fields(source))
        self.members = {name: (names or {}).get(name, name) for name in (*fields, *computed)}

    def __call__(self, found: object) -> Document:
        """The document of an instance. A tuple of dataclasses becomes a list of objects."""
        return {member: _plain(getattr(found, name)) for name, member in self.members.items()}


def _plain(value: object) -> object:
    return [dataclasses.asdict(each) for each in value] if isinstance(value, tuple) else value


_NUMBER = {"number": "order_number"}

order = DocumentType(Order, _NUMBER)
summary = DocumentType(OrderSummary, _NUMBER)
change = DocumentType(StatusChange)
worker = DocumentType(WorkerStatus, {"name": "worker_name"})
dish = DocumentType(Dish)
customer = DocumentType(Customer, computed=["repeat"])
priority_wait = DocumentType(PriorityWait)
_kitchen = DocumentType(KitchenState)
_figures = DocumentType(Figures, computed=["late_share"])


def kitchen(state: KitchenState, stations: Sequence[str]) -> Document:
    """GET /kitchen."""
    return {**_kitchen(state), "stations": list(stations)}


def report(found: DayReport) -> Document:
    """GET /reports/{day}."""
    return {
        "day": found.day.isoformat(),
        **_figures(found.all),
        "by_type": {name: _figures(part) for name, part in found.by_type.items()},
        "by_priority": {str(level): _figures(part) for level, part in found.by_priority.items()},
    }


def webhook(found: Webhook, secret: str | None = None) -> Document:
    """GET /webhooks/{id}. secret: included once, in the response that creates it."""
    extra = {} if secret is None else {"secret": secret}
    return {
        "id": found.id,
        "url": found.url,
        "description": found.description,
        "types": found.types or list(TYPES),
        "enabled": found.disabled_at is None,
        "disabled_at": found.disabled_at,
        "disabled_reason": found.disabled_reason,
        "failing_since": found.failing_since,
        "rests_until": found.rests_until,
        "former_secret_until": found.former_until,
        "created_at": found.created_at,
        **extra,
    }


def delivery(found: WebhookDelivery) -> Document:
    """One line of GET /webhooks/{id}/deliveries."""
    return {
        "id": str(found.id),
        "webhook_id": found.webhook_id,
        "event_id": str(found.event_id),
        "type": found.type,
        "order_number": found.order_number,
        "state": found.state,
        "attempts": found.attempts,
        "created_at": found.created_at,
        "last_attempt_at": found.tried_at,
        "next_attempt_at": found.next_at,
        "answer": found.answer,
        "problem": found.problem,
        "duration_seconds": found.duration,
        "payload": found.payload,
    }
