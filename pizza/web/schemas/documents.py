"""Domain objects as dicts, for the responses to staff and for `--json` of the CLI."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Mapping, Sequence
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
    hidden: fields that are no members.
    """

    def __init__(
        self,
        source: type,
        names: Mapping[str, str] | None = None,
        computed: Sequence[str] = (),
        hidden: Container[str] = (),
    ) -> None:
        self.source = source
        fields = (field.name for field in dataclasses.fields(source) if field.name not in hidden)
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
kitchen_state = DocumentType(KitchenState)
figures = DocumentType(Figures, computed=["late_share"])
webhook_row = DocumentType(Webhook, {"former_until": "former_secret_until"})
delivery = DocumentType(
    WebhookDelivery,
    {
        "tried_at": "last_attempt_at",
        "next_at": "next_attempt_at",
        "duration": "duration_seconds",
    },
    hidden=["position"],
)


def kitchen(state: KitchenState, stations: Sequence[str]) -> Document:
    """GET /kitchen."""
    return {**kitchen_state(state), "stations": list(stations)}


def report(found: DayReport) -> Document:
    """GET /reports/{day}."""
    return {
        "day": found.day.isoformat(),
        **figures(found.all),
        "by_type": {name: figures(part) for name, part in found.by_type.items()},
        "by_priority": {str(level): figures(part) for level, part in found.by_priority.items()},
    }


def webhook(found: Webhook, secret: str | None = None) -> Document:
    """GET /webhooks/{id}. secret: included once, in the response that creates it."""
    extra = {} if secret is None else {"secret": secret}
    return {**webhook_row(found), "types": found.types or list(TYPES), **extra}
