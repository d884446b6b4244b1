"""Domain objects as dicts, for the responses to staff and for `--json` of the CLI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pizza.customers.storage import Customer
from pizza.domain.menu import Dish
from pizza.domain.order import Order, OrderSummary
from pizza.domain.webhooks import TYPES
from pizza.kitchen.storage import KitchenState
from pizza.kitchen.worker_storage import WorkerStatus
from pizza.reports.storage import DayReport, Figures, PriorityWait
from pizza.webhooks.storage import Webhook, WebhookDelivery

Document = dict[str, Any]


def order(found: Order) -> Document:
    """GET /orders/{number}."""
    return {
        "order_number": found.number,
        "status": found.status,
        "stage": found.stage,
        "customer_name": found.customer_name,
        "customer_type": found.customer_type,
        "order_type": found.order_type,
        "table_number": found.table_number,
        "delivery_address": found.delivery_address,
        "items": [
            {"name": item.name, "quantity": item.quantity, "price": item.price}
            for item in found.items
        ],
        "total_amount": found.total_amount,
        "priority": found.priority,
        "rush": found.rush,
        "created_at": found.created_at,
        "updated_at": found.updated_at,
        "started_at": found.started_at,
        "promised_at": found.promised_at,
        "estimated_completion": found.estimated_completion,
        "completed_at": found.completed_at,
        "processed_by": found.processed_by,
        "version": found.version,
    }


def summary(found: OrderSummary) -> Document:
    """One line of GET /orders."""
    return {
        "order_number": found.number,
        "status": found.status,
        "stage": found.stage,
        "customer_name": found.customer_name,
        "order_type": found.order_type,
        "priority": found.priority,
        "rush": found.rush,
        "total_amount": found.total_amount,
        "created_at": found.created_at,
        "updated_at": found.updated_at,
        "estimated_completion": found.estimated_completion,
        "completed_at": found.completed_at,
        "processed_by": found.processed_by,
    }


def worker(found: WorkerStatus) -> Document:
    """One line of GET /workers/status."""
    return {
        "worker_name": found.name,
        "type": found.type,
        "status": found.status,
        "orders_processed": found.orders_processed,
        "last_seen": found.last_seen,
        "station": found.station,
        "order_types": found.order_types,
        "tags": found.tags,
        "measured_orders": found.measured_orders or 0,
        "avg_cooking_seconds": found.avg_cooking_seconds,
        "p90_cooking_seconds": found.p90_cooking_seconds,
        "avg_waiting_seconds": found.avg_waiting_seconds,
        "p90_waiting_seconds": found.p90_waiting_seconds,
        "last_order_at": found.last_order_at,
    }


def dish(found: Dish) -> Document:
    """One dish of the menu."""
    return {
        "name": found.name,
        "tag": found.tag,
        "price": found.price,
        "sold_out": found.sold_out,
    }


def customer(found: Customer) -> Document:
    """GET /customers/{name}."""
    return {
        "name": found.name,
        "vip": found.vip,
        "vip_set_by": found.vip_set_by,
        "vip_changed_at": found.vip_changed_at,
        "repeat": found.repeat,
        "orders": found.orders,
        "cancelled": found.cancelled,
        "spent": found.spent,
        "first_order_at": found.first_order_at,
        "last_order_at": found.last_order_at,
    }


def kitchen(state: KitchenState, stations: Sequence[str]) -> Document:
    """GET /kitchen."""
    return {
        "paused": state.paused,
        "reason": state.reason,
        "changed_by": state.changed_by,
        "changed_at": state.changed_at,
        "max_concurrent": state.max_concurrent,
        "max_concurrent_by": state.max_concurrent_by,
        "stations": list(stations),
    }


def report(found: DayReport) -> Document:
    """GET /reports/{day}."""
    return {
        "day": found.day.isoformat(),
        **_figures(found.all),
        "by_type": {name: _figures(part) for name, part in found.by_type.items()},
        "by_priority": {str(level): _figures(part) for level, part in found.by_priority.items()},
    }


def _figures(part: Figures) -> Document:
    return {
        "orders": part.orders,
        "cancelled": part.cancelled,
        "prepared": part.prepared,
        "avg_preparation_seconds": part.avg_preparation_seconds,
        "p90_preparation_seconds": part.p90_preparation_seconds,
        "late": part.late,
        "late_share": part.late_share,
    }


def priority_wait(found: PriorityWait) -> Document:
    """One line of GET /metrics/priority."""
    return {
        "priority": found.priority,
        "orders": found.orders,
        "begun": found.begun,
        "avg_wait_seconds": found.avg_wait_seconds,
        "p90_wait_seconds": found.p90_wait_seconds,
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
