"""Statements of a job, which check its token."""

from __future__ import annotations

from typing import Any

from pizza.database.queries import Queries

from ..database import Row, TokenRefused
from ..transaction import Transaction
from .base import Rows, Rule, wake_keeper, wake_publisher
from .claiming import names, reserve

_SQL = Queries("taskqueue/messages")


def held(tx: Transaction, id: Any, token: int) -> Row:
    """The row, locked. Raises TokenRefused."""
    row = tx.lock(id, lambda r: r.token == token or not tx.guarded("fencing"))
    if row is None:
        raise TokenRefused(f"message {id} is no longer held under token {token}")
    return row


def fence(tx: Transaction, p: dict[str, Any]) -> Rows:
    if tx.guarded("fencing"):
        held(tx, p["job_id"], p["job_token"])
    return [(True,)]


def complete(tx: Transaction, p: dict[str, Any]) -> Rows:
    try:
        tx.delete(held(tx, p["job_id"], p["job_token"]))
    except TokenRefused:
        if tx.guarded("fencing"):
            raise
    queue, position = reserve(tx, names(p["job_queues"]), p["job_reservation"])
    return [{"next_queue": queue, "reservation": position}]


def retry(tx: Transaction, p: dict[str, Any], *, what: str = "retried") -> Rows:
    row = held(tx, p["job_id"], p["job_token"])
    delay = p["delay"].total_seconds()
    tx.change(
        row,
        state="scheduled",
        token=row.token + 1,
        holder=None,
        lease_until=None,
        available_at=tx.now + delay,
    )
    count(tx, what, row.queue)
    wake_keeper(tx, delay)
    return [(True,)]


def snooze(tx: Transaction, p: dict[str, Any]) -> Rows:
    row = held(tx, p["job_id"], p["job_token"])
    tx.change(row, attempt=row.attempt - 1)
    return retry(tx, p, what="postponed")


def release(tx: Transaction, p: dict[str, Any]) -> Rows:
    row = tx.lock(p["job_id"], lambda r: r.token == p["job_token"])
    if row is None:
        return [(False,)]
    tx.change(
        row,
        state="pending" if tx.guarded("new delivery") else "sent",
        token=row.token + 1,
        attempt=row.attempt - 1,
        holder=None,
        lease_until=None,
        position=row.position if row.sent_at is not None else tx.next_position(),
    )
    wake_publisher(tx)
    return [(True,)]


def count(tx: Transaction, what: str, queue: str | None) -> None:
    """The function message_counter_increment; its lock is not modelled."""
    tx.put("tally", (what, queue), (tx.get("tally", (what, queue)) or 0) + 1)


TOKENS: dict[str, Rule] = {
    _SQL.fence: fence,
    _SQL.complete: complete,
    _SQL.retry: retry,
    _SQL.snooze: snooze,
    _SQL.release: release,
}
