"""The rules of keeper.sql: housekeeping in slices that wait for no row lock."""

from __future__ import annotations

from typing import Any

from pizza.database.queries import Queries

from ..database import Row
from ..transaction import Transaction
from .base import Rows, Rule, moment, seconds, to_amqp, unlocked, wake_publisher
from .sessions import alive

_SQL, _SUBSCRIBER = Queries("taskqueue/keeper"), Queries("taskqueue/subscriber")
_NOTED_S = 1


def stage(tx: Transaction, p: dict[str, Any]) -> Rows:
    limit = p["pending_limit"]
    room = max(0, limit - sum(row.state == "pending" for row in tx.rows()))
    staged = 0

    def is_due(row: Row) -> bool:
        return row.state == "scheduled" and row.available_at <= tx.now

    due = sorted((r for r in tx.rows() if is_due(r)), key=lambda r: r.available_at)
    for row in unlocked(tx, is_due, room, due):
        tx.change(row, state="pending", position=tx.next_position())
        staged += 1
    if staged:
        wake_publisher(tx)
    return [(staged, True, room)]


def next_due(tx: Transaction, _p: dict[str, Any]) -> Rows:
    due = [row.available_at - tx.now for row in tx.rows() if row.state == "scheduled"]
    return [(min(due, default=None),)]


def rescue(tx: Transaction, p: dict[str, Any]) -> Rows:
    if not tx.guarded("rescue"):
        return []
    claims = {(r.holder or 0, r.lease_until) for r in tx.rows() if r.state == "claimed"}
    gone = {holder for holder, lease in claims if not alive(tx, holder, lease)}
    rescued = []
    for row in unlocked(tx, lambda r: r.state == "claimed" and r.holder in gone, p["limit"]):
        position = row.position if row.sent_at is not None else tx.next_position()
        tx.change(
            row,
            state="pending",
            token=row.token + 1,
            holder=None,
            lease_until=None,
            position=position,
        )
        rescued.append((row.id, row.task, row.queue, True))
    if rescued:
        wake_publisher(tx)
    return rescued


def redeliver(tx: Transaction, p: dict[str, Any]) -> Rows:
    noted = [id for id, at in tx.items("redelivery") if at < tx.now - _NOTED_S][: p["limit"]]
    sent = 0
    for id in noted:
        if tx.row(id) is not None:
            row = tx.skip(id)
            if row is None:
                continue
            published = ("sent", "pending") if tx.guarded("unmarked") else ("sent",)
            if row.state in published:
                position = row.position if row.state == "sent" else tx.next_position()
                tx.change(row, state="pending", position=position)
                sent += 1
        tx.put("redelivery", id, None)
    if sent:
        wake_publisher(tx)
    return [(sent, True)]


# -- what the broker has lost --------------------------------------------------------------


def _waiting(tx: Transaction, p: dict[str, Any]) -> list[Row]:
    before = seconds(p["before"])
    return [
        row
        for row in tx.rows()
        if row.state == "sent" and row.queue == p["queue"] and row.sent_at < before
    ]


def _lost(tx: Transaction, p: dict[str, Any]) -> list[Row]:
    """Without those whose delivery was dropped as their row is locked."""
    return [row for row in _waiting(tx, p) if tx.get("redelivery", row.id) is None]


def _page(rows: list[Row], limit: int) -> Rows:
    return [to_amqp(row) for row in sorted(rows, key=lambda row: row.position)[:limit]]


def waiting_page(tx: Transaction, p: dict[str, Any]) -> Rows:
    priority, after = p["priority"], p["after"]
    rows = [r for r in _waiting(tx, p) if r.priority == priority and r.position > after]
    return _page(rows, p["limit"])


def overtaken(tx: Transaction, p: dict[str, Any]) -> Rows:
    rows = [r for r in _lost(tx, p) if r.priority == p["priority"] and r.needs is None]
    return _page(rows, p["limit"])


def next_priority(tx: Transaction, p: dict[str, Any]) -> Rows:
    rows = (r for r in tx.rows() if r.state == "sent" and r.queue == p["queue"])
    return [(max((r.priority for r in rows if r.priority < p["below"]), default=None),)]


def newest_claims(tx: Transaction, _p: dict[str, Any]) -> Rows:
    newest: dict[tuple[str, int], float] = {}
    for row in tx.rows():
        if row.state == "claimed" and row.sent_at is not None:
            key = (row.queue or "", row.priority)
            newest[key] = max(newest.get(key, 0.0), row.sent_at)
    return [(*key, moment(at)) for key, at in newest.items()]


def sent_again(tx: Transaction, p: dict[str, Any]) -> Rows:
    ids = set(p["ids"])
    for row in unlocked(tx, lambda r: r.state == "sent" and r.id in ids):
        tx.change(row, sent_at=tx.now)
    return []


def known(tx: Transaction, p: dict[str, Any]) -> Rows:
    rows = zip(map(tx.row, p["ids"]), p["priorities"], strict=True)
    return [
        (row.id,)
        for row, priority in rows
        if row is not None and row.state in ("sent", "pending") and row.priority == priority
    ]


# -- periodic tasks ------------------------------------------------------------------------


def periodic_due(tx: Transaction, p: dict[str, Any]) -> Rows:
    tx.lock_key(("periodic_task", p["name"]))
    last = tx.get("periodic_task", p["name"])
    if last is not None and last > tx.now - p["interval"].total_seconds():
        return []
    tx.put("periodic_task", p["name"], tx.now)
    tx.note("periodic run", p["name"], tx.now)
    return [(1,)]


KEEPING: dict[str, Rule] = {
    _SQL.stage_due: stage,
    _SQL.seconds_until_due: next_due,
    _SQL.rescue_orphaned: rescue,
    _SQL.redeliver_noted: redeliver,
    _SQL.queues_with_waiting: lambda tx, _p: [
        (name,) for name in sorted({row.queue or "" for row in tx.rows() if row.state == "sent"})
    ],
    _SQL.current_time: lambda tx, _p: [(moment(tx.now),)],
    _SQL.count_waiting: lambda tx, p: [(min(p["limit"], len(_lost(tx, p))),)],
    _SQL.next_priority: next_priority,
    _SQL.waiting_page: waiting_page,
    _SQL.newest_claimed: newest_claims,
    _SQL.find_overtaken: overtaken,
    _SQL.mark_republished: sent_again,
    _SQL.find_deliverable: known,
    _SQL.claim_periodic_run: periodic_due,
    _SQL.periodic_last_runs: lambda tx, _p: [
        (name, tx.now - at) for name, at in tx.items("periodic_task")
    ],
}

# What the model has no part of: it answers that there is nothing to do.
_NOTHING: dict[str, Rule] = {
    query: lambda _tx, _p: []
    for query in (
        _SUBSCRIBER.list_queues,
        _SUBSCRIBER.mark_seen,
        _SUBSCRIBER.delete_expired_queues,
        _SQL.record_queue_stats,
        _SQL.prune_identities,
        _SQL.count_dead_rows,
    )
}
KEEPING |= _NOTHING
