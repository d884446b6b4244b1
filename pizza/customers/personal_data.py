"""Exports and erases personal data of customers, on request and after a time.

Names are compared by pizza.domain.names.fold_name. Log files are not covered
(docs/personal-data.md). A test compares the columns in tests/support/personal_columns.py with the
schema.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pizza.audit import customer_subject, record_change, record_read
from pizza.customers import personal_data_storage as storage
from pizza.customers.personal_data_storage import Message
from pizza.database.connection import BoundedConnection
from pizza.domain.actor import UNNAMED, Actor
from pizza.domain.errors import CustomerHasOrders, CustomerNotFound
from pizza.domain.names import fold_name, is_storable
from pizza.domain.personal_data import ERASED, CustomerMatcher, redact_event
from pizza.taskqueue.logs import log_action

log = logging.getLogger(__name__)

# Both commands read tables from beginning to end.
_STATEMENT_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Erased:
    """How much was erased. unread: notifications in queues, which may contain the name."""

    orders: int
    dead_messages: int
    messages: int
    unread: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Found:
    """What is stored about a customer, without the rows of the orders."""

    keys: list[str]
    numbers: storage.Numbers
    dead: list[Message]
    waiting: list[Message]
    merged: list[tuple[int, dict[str, Any]]]


def export(conn: BoundedConnection, name: str, *, actor: Actor = UNNAMED) -> dict[str, Any]:
    """All personal data of a customer as one JSON document. Raises CustomerNotFound.

    Runs in its own transaction, which sees one moment of the database.
    """
    with conn.timeout_scope(_STATEMENT_TIMEOUT_S), conn.transaction():
        storage.use_snapshot(conn)
        found = _find(conn, name)
        rows = storage.read_rows(conn, found.keys, found.numbers.all)
    if not _is_known(found, rows["customers"]):
        raise CustomerNotFound(name)
    document = {
        "name": name,
        "exported_at": datetime.now(UTC),
        **rows,
        "dead_messages": [_readable(each) for each in found.dead],
        "waiting_messages": [_readable(each) for each in found.waiting],
        "merged_names": [merged for _, merged in found.merged],
    }
    record_read(conn, actor, "customer_exported", customer_subject(conn, name))
    _log("customer_exported", "Personal data of a customer was exported", len(found.numbers.all))
    return document


def erase(conn: BoundedConnection, name: str, *, actor: Actor = UNNAMED) -> Erased:
    """Erase a customer's personal data in one transaction; orders, items, sums and times stay.

    Raises CustomerNotFound, and CustomerHasOrders while an order has not ended.
    """
    with conn.timeout_scope(_STATEMENT_TIMEOUT_S), conn.transaction():
        keys = _keys(conn, name)
        storage.lock_customer(conn, keys)
        found = _find(conn, name)
        tasks = [each for each in found.waiting if each.task is not None]
        if open_orders := [*found.numbers.open, *(f"message {each.id}" for each in tasks)]:
            raise CustomerHasOrders(open_orders)
        if not _is_known(found, storage.read_rows(conn, keys, [])["customers"]):
            raise CustomerNotFound(name)
        storage.erase_orders(conn, found.numbers.all)
        storage.erase_customer(conn, keys, [id for id, _ in found.merged])
        storage.erase_dead_messages(conn, [each.id for each in found.dead])
        for each in found.waiting:
            storage.erase_message(conn, each.id, _redacted_body(each))
        unread = storage.count_unread(conn)
        record_change(conn, actor, "customer_erased", customer_subject(conn, name))
    _log("customer_erased", "A customer was erased", len(found.numbers.all))
    return Erased(len(found.numbers.all), len(found.dead), len(found.waiting), unread)


def erase_expired(conn: BoundedConnection, keep: timedelta, limit: int = storage.BATCH) -> int:
    """Erase personal data of orders that ended longer ago than `keep`, at most `limit` orders.

    A periodic task in the caller's transaction; returns the number of orders. Skips locked orders.
    Deletes dead messages older than `keep`. Keeps what staff has stored about customers.
    """
    numbers = storage.lock_expired_orders(conn, keep, limit)
    if numbers:
        storage.erase_orders(conn, numbers)
        _log("personal_data_expired", "Personal data of old orders was erased", len(numbers))
    if dropped := storage.prune_expired(conn, keep, limit):
        text, details = "Old dead messages were deleted", {"messages": dropped}
        log_action(log.info, "dead_messages_expired", text, details)
    return len(numbers)


def _keys(conn: BoundedConnection, name: str) -> list[str]:
    # ERASED is no customer: it replaces erased names.
    if not is_storable(name) or fold_name(name) == ERASED:
        raise CustomerNotFound(name[:100])
    return storage.list_keys(conn, name)


def _find(conn: BoundedConnection, name: str) -> _Found:
    keys = _keys(conn, name)
    numbers = storage.list_orders(conn, keys)
    matcher = CustomerMatcher(keys, numbers.all)
    dead = [
        each
        for each in storage.list_dead_messages(conn)
        if matcher.in_message(each.body, each.headers, each.reason, each.traceback)
    ]
    waiting = [
        each
        for each in storage.list_waiting_messages(conn)
        if "dead_message" not in each.headers and matcher.in_message(each.body, each.headers)
    ]
    return _Found(keys, numbers, dead, waiting, storage.list_merged_names(conn, matcher))


def _is_known(found: _Found, customers: Sequence[Any]) -> bool:
    return bool(customers or found.numbers.all or found.dead or found.waiting or found.merged)


def _redacted_body(message: Message) -> bytes:
    """The body of an event without personal data."""
    try:
        body = json.loads(message.body)
    except (ValueError, RecursionError):
        body = None
    return json.dumps(redact_event(body) if isinstance(body, dict) else {}).encode()


def _readable(message: Message) -> dict[str, Any]:
    return asdict(message) | {"body": message.body.decode(errors="replace")}


def _log(action: str, text: str, orders: int) -> None:
    log_action(log.info, action, text, {"orders": orders})
