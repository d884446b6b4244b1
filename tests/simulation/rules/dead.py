"""Dead messages: rows, and their copies for the dead-letter exchange."""

from __future__ import annotations

from typing import Any

from pizza.database.queries import Queries

from ..database import Record, Row, TokenRefused
from ..transaction import Transaction
from .base import Rows, Rule, plain
from .sending import publish, send
from .tokens import count

_SQL, _DEAD = Queries("framework"), Queries("dead_messages")
_OF_THE_END = ("reason", "died_in", "died_at", "attempt", "task", "position", "needs")


def bury(tx: Transaction, p: dict[str, Any]) -> Rows:
    """The function message_bury under a token."""
    id, token = p["job_id"], p["job_token"]
    row = tx.lock(id, lambda r: r.token == token or not tx.guarded("fencing"))
    if row is None or row.task is None:
        raise TokenRefused(f"message {id} is no longer held under token {token}")
    _end(tx, row, p)
    return [(True,)]


def bury_unclaimed(tx: Transaction, p: dict[str, Any]) -> Rows:
    row = _unclaimed(tx, p["id"], p["holder"])
    if row is None:
        return []
    _end(tx, row, p)
    return [(1,)]


def _unclaimed(tx: Transaction, id: Any, holder: int | None) -> Row | None:
    def may_die(row: Row) -> bool:
        waits = row.state in ("pending", "sent")
        return row.task is not None and (waits or (holder is not None and row.holder == holder))

    return tx.lock(id, may_die)


def give_up(tx: Transaction, p: dict[str, Any]) -> Rows:
    """The publisher's end of a message, task or event."""
    answers = []
    for row in tx.rows():
        if row.state != "pending" or row.position != p["position"]:
            continue
        if row.task is not None:
            found = _unclaimed(tx, row.id, None)
            if found is not None:
                _end(tx, found, p)
            answers.append((found is not None,))
        else:
            answers.append((_bury_event(tx, row, p),))
    return answers


def _bury_event(tx: Transaction, row: Row, p: dict[str, Any]) -> bool:
    found = tx.lock(row.id)
    if found is None:
        return False
    tx.delete(found)
    if found.exchange == p["exchange"]:
        count(tx, "unroutable", p["exchange"])
        return True
    headers = plain(p["headers"])
    _record(
        tx, row.id, queue=row.routing_key, exchange=row.exchange, routing_key=row.routing_key,
        priority=row.priority, headers=row.headers, body=row.body, reason=headers.get("reason"),
    )  # fmt: skip
    _copy(tx, row.id, p["exchange"], row.routing_key, row.body, {**(row.headers or {}), **headers})
    return True


def _end(tx: Transaction, row: Row, p: dict[str, Any]) -> None:
    headers = plain(p["headers"])
    tx.delete(row)
    _record(
        tx, row.id, task=row.task, queue=row.queue, priority=row.priority, headers=row.headers,
        needs=row.needs, body=row.body, reason=headers.get("reason"),
        traceback=p.get("traceback"), attempts=row.attempt, runs=row.runs,
    )  # fmt: skip
    needs = {} if row.needs is None else {"needs": list(row.needs)}
    merged = {**(row.headers or {}), **headers, **needs}
    _copy(tx, row.id, p["exchange"], row.queue, row.body, merged)


def bury_raw(tx: Transaction, p: dict[str, Any]) -> Rows:
    id, headers = p["id"] or tx.new_id(), plain(p["headers"])
    needs = headers.get("needs")
    recorded = _record(
        tx, id, task=headers.get("task"), queue=p["routing_key"],
        headers={k: v for k, v in headers.items() if k not in (*_OF_THE_END, "dead_message")},
        needs=needs if isinstance(needs, list) else None, body=p["body"],
        reason=headers.get("reason", "unknown"), traceback=p["traceback"],
        attempts=int(headers.get("attempt", 0)),
    )  # fmt: skip
    if recorded:
        _copy(tx, id, p["exchange"], p["routing_key"], p["body"], headers)
    return [(True,)]


def _record(tx: Transaction, id: Any, **values: Any) -> bool:
    tx.note("buried", id)
    if tx.get("dead_message", id) is not None:
        return False
    blank = {
        "task": None, "exchange": "", "routing_key": None, "priority": 0, "headers": None,
        "needs": None, "traceback": None, "attempts": 0, "runs": 0,
    }  # fmt: skip
    tx.put("dead_message", id, Record(**{**blank, **values, "id": id}))
    return True


def _copy(tx: Transaction, id: Any, exchange: str, queue: Any, body: bytes, headers: Any) -> None:
    publish(
        tx,
        {"exchange": exchange, "routing_key": queue, "body": body,
         "headers": {**headers, "dead_message": str(id)}},
    )  # fmt: skip
    count(tx, "dead", queue)


def retry_dead(tx: Transaction, p: dict[str, Any]) -> Rows:
    dead = tx.get("dead_message", p["id"])
    if dead is None:
        return [(False,)]
    tx.put("dead_message", p["id"], None)
    common = {"priority": dead.priority, "headers": dead.headers, "body": dead.body}
    if dead.task is None:
        publish(
            tx, common | {"exchange": dead.exchange, "routing_key": dead.routing_key or dead.queue}
        )
    elif tx.row(dead.id) is None:
        send(
            tx,
            common | {"id": dead.id, "task": dead.task, "queue": dead.queue, "exchange": "",
                      "routing_key": dead.queue, "countdown": None, "needs": dead.needs},
        )  # fmt: skip
    return [(True,)]


def existing(tx: Transaction, p: dict[str, Any]) -> Rows:
    return [(id,) for id in p["ids"] if tx.get("dead_message", id) is not None]


DEAD: dict[str, Rule] = {
    _SQL.bury: bury, _SQL.bury_unclaimed: bury_unclaimed, _SQL.bury_raw: bury_raw,
    _DEAD.retry: retry_dead, _DEAD.existing: existing, Queries("relay").give_up: give_up,
}  # fmt: skip
