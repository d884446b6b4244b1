"""The rules of sql/functions/framework.sql, as the model has them.

Each takes a transaction of the model and the statement's parameters, and answers its rows.
test_rules.py compares them with the real statements, step by step.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pizza.database.queries import Queries

from .database import Row, TokenRefused, Transaction

_SQL = Queries("framework")
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)

Rows = list[Any]
Rule = Callable[[Transaction, dict[str, Any]], Rows]

DOZE = 7020002


# -- sending ---------------------------------------------------------------------------


def _wake(tx: Transaction) -> None:
    if not tx.share(DOZE):
        tx.notices.append(("outbox", ""))


def send(tx: Transaction, p: dict[str, Any]) -> Rows:
    waits = p["countdown"]
    tx.insert(
        Row(
            id=p["id"], position=tx.next_position(), task=p["task"], queue=p["queue"],
            exchange=p["exchange"], routing_key=p["routing_key"], priority=p["priority"],
            body=p["body"], headers=_plain(p["headers"]), created_at=_EPOCH,
            state="pending" if waits is None else "scheduled",
            available_at=None if waits is None else tx.now + waits.total_seconds(),
        )
    )  # fmt: skip
    _wake(tx)
    return [(True,)]


def publish(tx: Transaction, p: dict[str, Any]) -> Rows:
    tx.insert(
        Row(
            id=p.get("id") or tx.new_id(), position=tx.next_position(), state="pending",
            exchange=p["exchange"], routing_key=p["routing_key"], body=p["body"],
            headers=_plain(p["headers"]), priority=p.get("priority", 0), created_at=_EPOCH,
        )
    )  # fmt: skip
    _wake(tx)
    return [(True,)]


def _plain(headers: Any) -> Any:
    return getattr(headers, "obj", headers)


# -- claiming --------------------------------------------------------------------------


def _names(array: str) -> list[str]:
    """The elements of an array as PostgreSQL writes it; of names without a backslash or a quote."""
    return [part.strip('"') for part in array.strip("{}").split(",")]


def _best(tx: Transaction, queues: Any, depth: int) -> Rows:
    waiting: dict[str, Rows] = {name: [] for name in queues}
    for row in tx.rows():
        if row.state == "sent" and row.queue in waiting:
            waiting[row.queue].append(row)
    best = [row for rows in waiting.values() for row in sorted(rows, key=_rank)[:depth]]
    return sorted(best, key=_rank)


def _rank(row: Row) -> tuple[int, int]:
    return -row.priority, row.position


def _promise(tx: Transaction, queues: Any, former: int | None) -> tuple[str | None, int | None]:
    if former is not None:
        tx.end_promise(former)
    for depth in (1, 4, 16):
        for row in _best(tx, queues, depth)[: 1 if depth == 1 else None]:
            if tx.take_promise(row.position):
                return row.queue, row.position
    return None, None


def alive(tx: Transaction, row: Row) -> bool:
    """The function holder_alive, which is null (not true) for a row without a holder."""
    if row.holder is None:
        return False
    return tx.locked_elsewhere(row.holder) or (
        row.renewed_at < tx.server_start and tx.server_start > tx.now - 10
    )


def claim(tx: Transaction, p: dict[str, Any]) -> Rows:
    id, promise = p["job_id"], p["job_promise"]
    if not tx.guarded("claim"):
        return _unguarded_claim(tx, p)
    forced = p["job_forced"]
    if forced or promise is not None:
        row = tx.lock(
            id,
            lambda r: (
                _waits_at(r, p["job_priority"])
                and (forced or r.position == promise or tx.promised_elsewhere(r.position))
            ),
        )
        if row is not None:
            _take(tx, row, p)
            tx.keep_promise(row.position)
            if row.position == promise and tx.end_promise(promise):
                promise = None
            return [_verdict(tx, "claimed", id, promise)]
    row = tx.lock(id)
    if row is None:
        return [_verdict(tx, "done", None, promise)]
    if row.state == "scheduled":
        return [_verdict(tx, "later", None, promise)]
    if p["job_priority"] is not None and row.priority != p["job_priority"]:
        return [_verdict(tx, "moved", None, promise)]
    resumed = row.holder == p["job_holder"]
    if not resumed and row.lease_until is not None and row.lease_until > tx.now and alive(tx, row):
        return [_verdict(tx, "held", None, promise)]
    queues = _names(p["job_queues"])
    if row.state != "claimed" and not forced and len(queues) > 1:
        others = [name for name in queues if name != row.queue]
        for best in _best(tx, others, 4):
            if _rank(best) > _rank(row):
                break
            if best.position == promise or tx.take_promise(best.position):
                if promise is not None and promise != best.position:
                    tx.end_promise(promise)
                return [_verdict(tx, "better", None, best.position, best.queue)]
    _take(tx, row, p, resumed)
    tx.keep_promise(row.position)
    return [_verdict(tx, "claimed", id, promise)]


def _waits_at(row: Row, priority: int | None) -> bool:
    waits = row.state in ("sent", "pending") and row.holder is None
    return waits and row.priority == priority


def _take(tx: Transaction, row: Row, p: dict[str, Any], resumed: bool = False) -> None:
    tx.change(
        row, state="claimed", token=row.token + 1, attempt=row.attempt + (not resumed),
        holder=p["job_holder"], lease_until=tx.now + p["job_lease"].total_seconds(),
        renewed_at=tx.now, sent_at=None if p["job_priority"] is None else row.sent_at,
    )  # fmt: skip
    tx.note_claim(row.id)


def _unguarded_claim(tx: Transaction, p: dict[str, Any]) -> Rows:
    """Without the guard: whoever has a ticket may begin, and nobody is told."""
    tx.note_claim(p["job_id"])
    row = tx.lock(p["job_id"])
    if row is not None:
        tx.change(row, attempt=row.attempt + 1)
    verdict = _verdict(tx, "claimed", p["job_id"], p["job_promise"])
    return [{**verdict, "token": verdict["token"] or 0, "attempt": verdict["attempt"] or 1}]


def _verdict(
    tx: Transaction, verdict: str, id: Any, promise: int | None, better: str | None = None
) -> dict[str, Any]:
    row = tx.row(id) if id is not None else None
    return {
        "verdict": verdict, "token": row and row.token, "attempt": row and row.attempt,
        "better_queue": better, "promise": promise,
    }  # fmt: skip


# -- under the token -------------------------------------------------------------------


def _held(tx: Transaction, id: Any, token: int) -> Row:
    row = tx.lock(id, lambda r: r.token == token or not tx.guarded("fencing"))
    if row is None:
        raise TokenRefused(f"message {id} is no longer held under token {token}")
    return row


def fence(tx: Transaction, p: dict[str, Any]) -> Rows:
    if tx.guarded("fencing"):
        _held(tx, p["job_id"], p["job_token"])
    return [(True,)]


def complete(tx: Transaction, p: dict[str, Any]) -> Rows:
    try:
        tx.delete(_held(tx, p["job_id"], p["job_token"]))
    except TokenRefused:
        if tx.guarded("fencing"):
            raise
    queue, promise = _promise(tx, _names(p["job_queues"]), p["job_promise"])
    return [{"next_queue": queue, "promise": promise}]


def retry(tx: Transaction, p: dict[str, Any]) -> Rows:
    row = _held(tx, p["job_id"], p["job_token"])
    tx.change(
        row, state="scheduled", token=row.token + 1, holder=None, lease_until=None,
        available_at=tx.now + p["delay"].total_seconds(),
    )  # fmt: skip
    _wake(tx)
    return [(True,)]


def release(tx: Transaction, p: dict[str, Any]) -> Rows:
    row = tx.lock(p["job_id"], lambda r: r.token == p["job_token"])
    if row is None:
        return [(False,)]
    tx.change(
        row, state="pending" if row.sent_at is None else "sent", token=row.token + 1,
        attempt=row.attempt - 1, holder=None, lease_until=None,
    )  # fmt: skip
    _wake(tx)
    return [(True,)]


def bury(tx: Transaction, p: dict[str, Any]) -> Rows:
    row = _held(tx, p["job_id"], p["job_token"])
    tx.change(
        row, state="pending", task=None, exchange=p["exchange"], routing_key=row.queue,
        queue=None, token=row.token + 1, holder=None, lease_until=None,
        position=tx.next_position(), headers={**(row.headers or {}), **_plain(p["headers"])},
    )  # fmt: skip
    tx.note_burial(row.id)
    _wake(tx)
    return [(True,)]


def renew(tx: Transaction, p: dict[str, Any]) -> Rows:
    row = tx.lock(p["id"], lambda r: r.token == p["token"] and r.holder == p["holder"])
    if row is None:
        return []
    lease = tx.now + p["lease"].total_seconds()
    tx.change(row, state="claimed", lease_until=lease, renewed_at=tx.now)
    return [(1,)]


def known(tx: Transaction, p: dict[str, Any]) -> Rows:
    return [(1,)] if tx.row(p["id"]) else []


RULES: dict[str, Rule] = {
    _SQL.send: send, _SQL.publish: publish, _SQL.publish_raw: publish,
    _SQL.bury_raw: publish, _SQL.claim: claim,
    _SQL.fence: fence, _SQL.complete: complete, _SQL.retry: retry, _SQL.release: release,
    _SQL.bury: bury, _SQL.renew: renew, _SQL.known: known,
    _SQL.hold: lambda tx, p: [(tx.hold(p["holder"]),)],
    _SQL.end_promise: lambda tx, p: [(tx.end_promise(p["promise"]),)],
}  # fmt: skip
