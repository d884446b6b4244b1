"""Dead messages: rows, and their copies for the dead-letter exchange."""

from __future__ import annotations

from typing import Any

from pizza.database.queries import Queries

from ..database import Record, Row, TokenRefused
from ..transaction import Transaction
from .base import Rows, Rule, plain
from .sending import publish, send
from .tokens import count

_SQL, _DEAD = Queries("taskqueue/messages"), Queries("taskqueue/dead_letters")
_OF_THE_END = ("reason", "died_in", "died_at", "attempt", "task", "position", "needs")


def dead_letter(tx: Transaction, p: dict[str, Any]) -> Rows:
    """The function message_dead_letter under a token."""
    id, token = p["job_id"], p["job_token"]
    row = tx.lock(id, lambda r: r.token == token or not tx.guarded("fencing"))
    if row is None or row.task is None:
        raise TokenRefused(f"message {id} is no longer held under token {token}")
    _end(tx, row, p)
    return [(True,)]


def dead_letter_unclaimed(tx: Transaction, p: dict[str, Any]) -> Rows:
    row = _unclaimed(tx, p["id"], p["worker_id"])
    if row is None:
        return []
    _end(tx, row, p)
    return [(1,)]


def _unclaimed(tx: Transaction, id: Any, worker_id: int | None) -> Row | None:
    def may_die(row: Row) -> bool:
        waits = row.state in ("pending", "sent")
        return row.task is not None and (
            waits or (worker_id is not None and row.holder == worker_id)
        )

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
            answers.append((_dead_letter_event(tx, row, p),))
    return answers


def _dead_letter_event(tx: Transaction, row: Row, p: dict[str, Any]) -> bool:
    found = tx.lock(row.id)
    if found is None:
        return False
    tx.delete(found)
    if found.exchange == p["exchange"]:
        count(tx, "unroutable", p["exchange"])
        return True
    id, headers = _dead_id(tx, row.id, row.body), plain(p["headers"])
    _record(
        tx, id, queue=row.routing_key or row.exchange, exchange=row.exchange,
        routing_key=row.routing_key, priority=row.priority, headers=row.headers, body=row.body,
        reason=headers.get("reason"),
    )  # fmt: skip
    _copy(tx, id, p["exchange"], row.routing_key, row.body, {**(row.headers or {}), **headers})
    return True


def _dead_id(tx: Transaction, id: Any, body: bytes) -> Any:
    """The function dead_message_id."""
    dead = tx.get("dead_message", id)
    return tx.new_id() if id is None or (dead is not None and dead.body != body) else id


def _end(tx: Transaction, row: Row, p: dict[str, Any]) -> None:
    id, headers = _dead_id(tx, row.id, row.body), plain(p["headers"])
    tx.delete(row)
    _record(
        tx, id, task=row.task, queue=row.queue, priority=row.priority, headers=row.headers,
        needs=row.needs, body=row.body, reason=headers.get("reason"),
        traceback=p.get("traceback"), attempts=row.attempt, runs=row.runs,
    )  # fmt: skip
    needs = {} if row.needs is None else {"needs": list(row.needs)}
    merged = {**(row.headers or {}), **headers, **needs}
    _copy(tx, id, p["exchange"], row.queue, row.body, merged)


def dead_letter_raw(tx: Transaction, p: dict[str, Any]) -> Rows:
    id, headers = _dead_id(tx, p["id"], p["body"]), plain(p["headers"])
    needs = headers.get("needs")
    recorded = _record(
        tx,
        id,
        task=headers.get("task"),
        queue=p["routing_key"],
        headers={k: v for k, v in headers.items() if k not in (*_OF_THE_END, "dead_message")},
        needs=needs if isinstance(needs, list) else None,
        body=p["body"],
        reason=headers.get("reason", "unknown"),
        traceback=p.get("traceback"),
        priority=p.get("priority", 0),
        attempts=int(headers.get("attempt", 0)),
    )
    if recorded:
        _copy(tx, id, p["exchange"], p["routing_key"], p["body"], headers)
    return [(True,)]


def import_dead_letter(tx: Transaction, p: dict[str, Any]) -> Rows:
    return dead_letter_raw(tx, p | {"routing_key": p["queue"]})


def _record(tx: Transaction, id: Any, **values: Any) -> bool:
    tx.note("dead-lettered", id)
    if tx.get("dead_message", id) is not None:
        return False
    blank = {
        "task": None, "exchange": "", "routing_key": None, "priority": 0, "headers": None,
        "needs": None, "traceback": None, "attempts": 0, "runs": 0, "died_at": tx.now,
    }  # fmt: skip
    tx.put("dead_message", id, Record(**{**blank, **values, "id": id}))
    return True


def _copy(tx: Transaction, id: Any, exchange: str, queue: Any, body: bytes, headers: Any) -> None:
    publish(
        tx,
        {
            "exchange": exchange,
            "routing_key": queue,
            "body": body,
            "headers": {**headers, "dead_message": str(id)},
        },
    )
    count(tx, "dead", queue)


def retry_dead(tx: Transaction, p: dict[str, Any]) -> Rows:
    return [(sum(_retry(tx, id) for id in p["ids"]),)]


def _retry(tx: Transaction, id: Any) -> bool:
    dead = tx.get("dead_message", id)
    if dead is None:
        return False
    tx.put("dead_message", id, None)
    common = {"priority": dead.priority, "headers": dead.headers, "body": dead.body}
    if dead.task is None:
        way = {"exchange": dead.exchange, "routing_key": dead.routing_key or dead.queue}
        publish(tx, common | way | {"queue": dead.queue if dead.exchange == "" else None})
    elif tx.row(dead.id) is None:
        way = {"exchange": "", "routing_key": dead.queue, "queue": dead.queue, "needs": dead.needs}
        send(tx, common | way | {"id": dead.id, "task": dead.task, "countdown": None})
    return True


def drop_dead(tx: Transaction, p: dict[str, Any]) -> Rows:
    found = [id for id in p["ids"] if tx.get("dead_message", id) is not None]
    for id in found:
        tx.put("dead_message", id, None)
    return [(len(found),)]


def find_existing(tx: Transaction, p: dict[str, Any]) -> Rows:
    return [(id,) for id in p["ids"] if tx.get("dead_message", id) is not None]


def table_state(tx: Transaction, _p: dict[str, Any]) -> Rows:
    died = [dead.died_at for _, dead in tx.items("dead_message")]
    return [(len(died), max(died, default=None))]


DEAD: dict[str, Rule] = {
    _SQL.dead_letter: dead_letter,
    _SQL.dead_letter_unclaimed: dead_letter_unclaimed,
    _SQL.dead_letter_raw: dead_letter_raw,
    _DEAD.retry: retry_dead,
    _DEAD.drop: drop_dead,
    _DEAD.find_existing: find_existing,
    _DEAD.import_dead_letter: import_dead_letter,
    Queries("taskqueue/relay").dead_letter_unpublishable: give_up,
    _DEAD.table_state: table_state,
}
