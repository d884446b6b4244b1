"""Rows with personal data of customers: found by name, read for an export, and erased.

All functions run in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row

from pizza.database.arrays import text_array
from pizza.database.connection import Connection
from pizza.database.planning import index_plans
from pizza.database.queries import Queries
from pizza.domain.names import fold_name
from pizza.domain.personal_data import ERASED, CustomerMatcher, redact_payload

_SQL = Queries("restaurant/personal_data")

Row = dict[str, Any]

# Orders or messages in one step.
BATCH = 500
_FIRST_ID = UUID(int=0)
_FIRST_TIME = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Message:
    """A message in the outbox or among the dead ones. task: None for an event."""

    id: UUID
    task: str | None
    queue: str | None
    headers: Row
    body: bytes
    reason: str = ""
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Numbers:
    """Orders of a customer: all of them, and those that somebody may still work on."""

    all: list[str]
    open: list[str]


def use_snapshot(conn: Connection) -> None:
    """Let the transaction read one snapshot of the database, and write nothing."""
    conn.execute("set transaction isolation level repeatable read, read only")


def list_keys(conn: Connection, name: str) -> list[str]:
    """The keys under which orders and customers of a name are stored.

    It is one, unless release 0.2 has stored another spelling. Reads every key that has more than
    single-spaced ASCII: a scan of the orders.
    """
    key = fold_name(name)
    unusual = [other for (other,) in conn.execute(_SQL.list_unusual_keys)]
    return [key, *(other for other in unusual if other != key and fold_name(other) == key)]


def list_orders(conn: Connection, keys: Sequence[str]) -> Numbers:
    """The orders of these keys, oldest first."""
    rows = conn.execute(_SQL.list_orders, {"keys": text_array(keys)}).fetchall()
    return Numbers([number for number, _ in rows], [number for number, is_open in rows if is_open])


def lock_customer(conn: Connection, keys: Sequence[str]) -> None:
    """Let no delivery to a webhook be created, and no order of these keys be changed meanwhile."""
    conn.execute(_SQL.lock_erasure)
    conn.execute(_SQL.lock_orders, {"keys": text_array(keys)})


def is_erased(conn: Connection, number: str) -> bool:
    """Whether the customer of an order was erased; until the transaction ends nothing changes that.

    False for an order that is not known here.
    """
    conn.execute(_SQL.lock_delivery)
    row = conn.execute(_SQL.is_erased, {"number": number}).fetchone()
    return row is not None and bool(row[0])


def lock_expired_orders(conn: Connection, keep: timedelta, limit: int) -> list[str]:
    """The next orders that ended longer ago than `keep` and still name somebody; locks them."""
    with index_plans(conn):
        rows = conn.execute(_SQL.lock_expired_orders, {"keep": keep, "limit": limit}).fetchall()
    return [number for (number,) in rows]


def erase_orders(conn: Connection, numbers: Sequence[str]) -> None:
    """Erase the person from orders, and from all that is stored of them but messages."""
    for first in range(0, len(numbers), BATCH):
        _erase_batch(conn, numbers[first : first + BATCH])


def _erase_batch(conn: Connection, numbers: Sequence[str]) -> None:
    these = {"numbers": text_array(numbers), "erased": ERASED}
    signed = [
        (number, by)
        for number, name, by in conn.execute(_SQL.list_signatures, these).fetchall()
        if by is not None and fold_name(by) == fold_name(name)
    ]
    signatures = {
        "signed": text_array([number for number, _ in signed]),
        "names": text_array([by for _, by in signed]),
    }
    conn.execute(_SQL.erase_log, these | signatures)
    conn.execute(_SQL.erase_events, these | signatures)
    deliveries = conn.execute(_SQL.list_deliveries, these).fetchall()
    conn.execute(
        _SQL.erase_deliveries,
        {
            "ids": [id for id, _ in deliveries],
            "payloads": text_array([redact_payload(payload) for _, payload in deliveries]),
            "erased": ERASED,
        },
    )
    conn.execute(_SQL.erase_keys, these)
    conn.execute(_SQL.erase_clients, these)
    conn.execute(_SQL.erase_requests, these)
    conn.execute(_SQL.erase_notifications, these)
    conn.execute(_SQL.erase_orders, these)


def erase_customer(conn: Connection, keys: Sequence[str], merged: Sequence[int]) -> None:
    """Delete what staff has said of a customer, and the record of merged spellings."""
    conn.execute(_SQL.erase_customers, {"keys": text_array(keys)})
    conn.execute(_SQL.erase_merged_names, {"ids": list(merged)})


def erase_dead_messages(conn: Connection, ids: Collection[UUID]) -> None:
    """Delete dead messages, and copies of them that are not published yet."""
    conn.execute(_SQL.erase_dead_messages, {"ids": list(ids)})
    conn.execute(_SQL.erase_dead_copies, {"ids": text_array([str(id) for id in ids])})


def erase_message(conn: Connection, id: UUID, body: bytes) -> None:
    """Give an event that waits to be published another body."""
    conn.execute(_SQL.erase_message, {"id": id, "body": body})


def prune_expired(conn: Connection, keep: timedelta, limit: int) -> int:
    """Delete dead messages and merged spellings older than `keep`; returns how many messages."""
    values = {"keep": keep, "limit": limit}
    with index_plans(conn):
        deleted = conn.execute(_SQL.prune_dead_messages, values).rowcount
        conn.execute(_SQL.prune_merged_names, values)
    return deleted


def list_dead_messages(conn: Connection) -> Iterator[Message]:
    """All dead messages, oldest first, a page at a time."""
    after: tuple[datetime, UUID] = (_FIRST_TIME, _FIRST_ID)
    while True:
        page = {"died_at": after[0], "id": after[1], "limit": BATCH}
        rows = conn.execute(_SQL.list_dead_messages, page).fetchall()
        for id, task, queue, headers, body, reason, traceback, _ in rows:
            yield Message(id, task, queue, headers or {}, bytes(body), reason, traceback or "")
        if len(rows) < BATCH:
            return
        after = (rows[-1][7], rows[-1][0])


def list_waiting_messages(conn: Connection) -> Iterator[Message]:
    """All messages that are still to be published or worked on, a page at a time."""
    after = _FIRST_ID
    while True:
        rows = conn.execute(_SQL.list_waiting_messages, {"id": after, "limit": BATCH}).fetchall()
        for id, task, queue, headers, body in rows:
            yield Message(id, task, queue, headers or {}, bytes(body))
        if len(rows) < BATCH:
            return
        after = rows[-1][0]


def list_merged_names(conn: Connection, matcher: CustomerMatcher) -> list[tuple[int, Row]]:
    """The records of spellings of this customer that became one: their ids, and what they hold."""
    return [
        (id, merged)
        for id, kept, merged in conn.execute(_SQL.list_merged_names).fetchall()
        if matcher.in_text(kept) or matcher.in_text(str(merged.get("name", "")))
    ]


def count_unread(conn: Connection) -> dict[str, int]:
    """The number of notifications in each queue, as last recorded by the leader."""
    return dict(conn.execute(_SQL.count_unread).fetchall())


def read_rows(
    conn: Connection, keys: Sequence[str], numbers: Sequence[str]
) -> dict[str, list[Row]]:
    """All rows of the customer of these keys and orders, by what they are."""
    values = {"keys": text_array(keys), "numbers": text_array(numbers)}
    queries = {
        "customers": _SQL.export_customers,
        "orders": _SQL.export_orders,
        "idempotency_keys": _SQL.export_keys,
        "clients": _SQL.export_clients,
        "webhook_deliveries": _SQL.export_deliveries,
        "notification_deliveries": _SQL.export_notifications,
        "tracking_events": _SQL.export_events,
        "status_requests": _SQL.export_requests,
    }
    with conn.cursor(row_factory=dict_row) as cursor:
        return {what: cursor.execute(query, values).fetchall() for what, query in queries.items()}
