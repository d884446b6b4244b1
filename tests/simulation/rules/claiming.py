"""Claiming: job_claim, and the reservations of workers."""

from __future__ import annotations

from typing import Any

from pizza.database.queries import Queries

from ..database import Row
from ..transaction import Transaction
from .base import Rows, Rule
from .sessions import alive

_SQL = Queries("taskqueue/messages")
_LOOKS = 7
_FIRST_PAUSE_S = 0.002
# A claim by a worker of release 0.2: its lease is in the message.
CLAIM_0_2 = """
select verdict, token, attempt, better_queue, promise
from message_claim(%(job_id)s, %(job_worker_id)s, %(lease)s, %(job_queues)s,
                   %(job_skip_priority_check)s, %(job_reservation)s, %(job_priority)s)
"""
VERDICTS_0_2 = {
    "gone": "done",
    "leased": "held",
    "scheduled": "later",
    "preempted": "better",
    "stale": "moved",
}


def names(array: str) -> list[str]:
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


def reserve(tx: Transaction, queues: Any, previous: int | None) -> tuple[str | None, int | None]:
    """The function message_reserve."""
    if previous is not None:
        tx.release_reservation(previous)
    for depth in (1, 4, 16):
        for row in _best(tx, queues, depth)[: 1 if depth == 1 else None]:
            if tx.acquire_reservation(row.position):
                return row.queue, row.position
    return None, None


def claim(tx: Transaction, p: dict[str, Any]) -> Rows:
    if not tx.guarded("claim"):
        return _unguarded_claim(tx, p)
    id, reservation, priority = p["job_id"], p["job_reservation"], p["job_priority"]
    unchecked = p["job_skip_priority_check"]
    if unchecked or reservation is not None:
        row = tx.skip(id)
        if (
            row is not None
            and _waits_at(row, priority)
            and (unchecked or row.position == reservation or tx.reserved_by_other(row.position))
        ):
            _take(tx, row, p)
            tx.hold_reservation(row.position)
            if row.position == reservation and tx.release_reservation(reservation):
                reservation = None
            return [_verdict(tx, "claimed", id, reservation)]
    found = _lock_soon(tx, id, p["job_worker_id"])
    if isinstance(found, str):
        return [_verdict(tx, found, None, reservation)]
    row = found
    if row.state == "scheduled":
        return [_verdict(tx, "scheduled", None, reservation)]
    if priority is not None and row.priority != priority:
        return [_verdict(tx, "stale", None, reservation)]
    resumed = row.holder == p["job_worker_id"]
    if not resumed and row.holder is not None and alive(tx, row.holder, row.lease_until):
        if row.state != "claimed":
            tx.change(row, state="claimed", sent_at=None)
        return [_verdict(tx, "leased", None, reservation)]
    queues = names(p["job_queues"])
    if row.state != "claimed" and not unchecked and len(queues) > 1:
        others = [name for name in queues if name != row.queue]
        for best in _best(tx, others, 4):
            if _rank(best) > _rank(row):
                break
            if best.position == reservation or tx.acquire_reservation(best.position):
                if reservation is not None and reservation != best.position:
                    tx.release_reservation(reservation)
                return [_verdict(tx, "preempted", None, best.position, best.queue)]
    _take(tx, row, p, resumed)
    tx.hold_reservation(row.position)
    return [_verdict(tx, "claimed", id, reservation)]


def claim_0_2(tx: Transaction, p: dict[str, Any]) -> Rows:
    (answer,) = claim(tx, p)
    verdict, row = answer["verdict"], tx.row(p["job_id"])
    if verdict == "claimed" and row is not None:
        tx.change(row, lease_until=tx.now + p["lease"].total_seconds(), renewed_at=tx.now)
    return [{**answer, "verdict": VERDICTS_0_2.get(verdict, verdict)}]


def _lock_soon(tx: Transaction, id: Any, worker_id: int) -> Row | str:
    """The row, locked, or the verdict when it is not to be had."""
    for n in range(_LOOKS):
        row = tx.skip(id)
        if row is not None:
            break
        row = tx.row(id)
        if row is None:
            break
        if row.state == "claimed" and row.holder != worker_id:
            return "leased"
        if row.state == "claimed" and tx.guarded("own claim"):
            row = tx.lock(id)
            break
        tx.pause(_FIRST_PAUSE_S * 2**n)
    if row is None or row.task is None:
        return "gone"
    return tx.skip(id) or "locked"  # the last look may have found it free


def _waits_at(row: Row, priority: int | None) -> bool:
    waits = row.state in ("sent", "pending") and row.holder is None and row.task is not None
    return waits and row.priority == priority


def _take(tx: Transaction, row: Row, p: dict[str, Any], resumed: bool = False) -> None:
    tx.change(
        row, state="claimed", token=row.token + 1, attempt=row.attempt + (not resumed),
        runs=row.runs + 1, holder=p["job_worker_id"], lease_until=None, renewed_at=None,
        sent_at=None if p["job_priority"] is None or row.state == "pending" else row.sent_at,
    )  # fmt: skip
    tx.note_claim(row.id)


def _unguarded_claim(tx: Transaction, p: dict[str, Any]) -> Rows:
    """Without the guard: a worker with a delivery begins, and the holder is not notified."""
    tx.note_claim(p["job_id"])
    row = tx.lock(p["job_id"])
    if row is not None:
        tx.change(row, attempt=row.attempt + 1)
    verdict = _verdict(tx, "claimed", p["job_id"], p["job_reservation"])
    return [{**verdict, "token": verdict["token"] or 0, "attempt": verdict["attempt"] or 1}]


def _verdict(
    tx: Transaction, verdict: str, id: Any, reservation: int | None, better: str | None = None
) -> dict[str, Any]:
    row = tx.row(id) if id is not None else None
    return {
        "verdict": verdict,
        "token": row and row.token,
        "attempt": row and row.attempt,
        "better_queue": better,
        "reservation": reservation,
    }


def redeliver(tx: Transaction, p: dict[str, Any]) -> Rows:
    if tx.guarded("redelivery") and tx.get("redelivery", p["id"]) is None:
        tx.put("redelivery", p["id"], tx.now)
    return [(True,)]


CLAIMING: dict[str, Rule] = {
    _SQL.claim: claim,
    CLAIM_0_2: claim_0_2,
    _SQL.redeliver: redeliver,
    _SQL.message_exists: lambda tx, p: [(1,)] if tx.row(p["id"]) else [],
    _SQL.release_reservation: lambda tx, p: [(tx.release_reservation(p["reservation"]),)],
}
