"""Sending: sql/taskqueue/functions/outbox.sql."""

from __future__ import annotations

from typing import Any

from pizza.database.queries import Queries

from ..database import Row
from ..transaction import Transaction
from .base import EPOCH, Rows, Rule, plain, wake_keeper, wake_publisher

_SQL = Queries("taskqueue/messages")


def send(tx: Transaction, p: dict[str, Any]) -> Rows:
    waits = p["countdown"]
    tx.insert(
        Row(
            id=p["id"],
            position=tx.next_position(),
            task=p["task"],
            queue=p["queue"],
            exchange=p["exchange"],
            routing_key=p["routing_key"],
            priority=p["priority"],
            body=p["body"],
            headers=plain(p["headers"]),
            created_at=EPOCH,
            needs=p["needs"],
            state="pending" if waits is None else "scheduled",
            available_at=None if waits is None else tx.now + waits.total_seconds(),
        )
    )
    if waits is None:
        wake_publisher(tx)
    else:
        wake_keeper(tx, waits.total_seconds())
    return [(True,)]


def send_once(tx: Transaction, p: dict[str, Any]) -> Rows:
    tx.lock_key(("identity", p["id"]))
    if tx.get("identity", p["id"]) is not None:
        return [(False,)]
    tx.put("identity", p["id"], True)
    return [(False,)] if tx.row(p["id"]) is not None else send(tx, p)


def publish(tx: Transaction, p: dict[str, Any]) -> Rows:
    tx.insert(
        Row(
            id=p.get("id") or tx.new_id(),
            position=tx.next_position(),
            state="pending",
            exchange=p["exchange"],
            routing_key=p["routing_key"],
            body=p["body"],
            headers=plain(p["headers"]),
            priority=p.get("priority", 0),
            created_at=EPOCH,
            queue=p.get("queue"),
        )
    )
    wake_publisher(tx)
    return [(True,)]


SENDING: dict[str, Rule] = {
    _SQL.send: send,
    _SQL.send_once: send_once,
    _SQL.publish: publish,
    _SQL.publish_raw: publish,
}
