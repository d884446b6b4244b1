"""Helpers of all rules."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from ..database import Row
from ..transaction import Transaction

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
ASLEEP = "publisher asleep"

Rows = list[Any]
Rule = Callable[[Transaction, dict[str, Any]], Rows]

# What is published of a message; the publisher gets its queue as well.
Outgoing = namedtuple(
    "Outgoing",
    "position id task exchange routing_key priority headers body attempt created_at refusals",
)
Pending = namedtuple(
    "Pending",
    "position id task queue exchange routing_key priority headers body attempt created_at refusals",
)


def pending_row(row: Row) -> Any:
    """The columns of a row that the publisher gets."""
    position, id, task, *others = to_amqp(row)
    return Pending(position, id, task, row.queue, *others)


def to_amqp(row: Row) -> Any:
    """The columns of a row that is published again."""
    return Outgoing(
        row.position, row.id, row.task, row.exchange, row.routing_key, row.priority, row.headers,
        row.body, row.attempt, row.created_at, row.refusals,
    )  # fmt: skip


def moment(seconds: float) -> datetime:
    """A point in time as the database answers it."""
    return EPOCH + timedelta(seconds=seconds)


def seconds(at: datetime) -> float:
    """A point in time as the rows of the model have it."""
    return (at - EPOCH).total_seconds()


def plain(headers: Any) -> Any:
    """What is in a Jsonb."""
    return getattr(headers, "obj", headers)


def wake_publisher(tx: Transaction) -> None:
    """The function outbox_notify."""
    if not tx.share(ASLEEP):
        tx.notices.append(("outbox", ""))


def wake_keeper(tx: Transaction, delay: float) -> None:
    """The function keeper_notify."""
    if delay < 1:
        tx.notices.append(("keeper", ""))


def unlocked(
    tx: Transaction, wanted: Callable[[Row], bool], limit: int | None = None, among: Any = None
) -> Iterable[Row]:
    """Lock and return matching rows that are not locked.

    among: rows in the order in which they are tried.
    """
    found = 0
    for id in [row.id for row in (tx.rows() if among is None else among) if wanted(row)]:
        if limit is not None and found >= limit:
            return
        row = tx.skip(id, wanted)
        if row is not None:
            found += 1
            yield row
