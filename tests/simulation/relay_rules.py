"""The rules of sql/queries/relay.sql, as the model has them; see rules.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pizza.database.queries import Queries

from .database import Row, Transaction
from .rules import DOZE, Rows, Rule, alive

_SQL = Queries("relay")
_KEPT = Queries("subscriber").kept
_LEAD = 7020001


def pending(tx: Transaction, p: dict[str, Any]) -> Rows:
    rows = sorted((r for r in tx.rows() if r.state == "pending"), key=lambda r: r.position)
    if not tx.guarded("order"):
        rows.reverse()
    if p["asleep"]:
        tx.free(DOZE)
    return [
        (r.position, r.id, r.task, r.exchange, r.routing_key, r.priority, r.headers, r.body,
         r.attempt, r.created_at)
        for r in rows[: p["limit"]]
    ] or [(None,) * 10]  # fmt: skip


def outlook(tx: Transaction, _p: dict[str, Any]) -> Rows:
    due = [r.available_at - tx.now for r in tx.rows() if r.state == "scheduled"]
    return [(any(r.state == "pending" for r in tx.rows()), min(due, default=None))]


def confirmed(tx: Transaction, p: dict[str, Any]) -> Rows:
    positions = set(p["positions"])
    for row in _each(tx, lambda r: r.state == "pending" and r.position in positions):
        if row.task is None:
            tx.delete(row)
        else:
            tx.change(row, state="sent", sent_at=tx.now)
    return []


def postpone(tx: Transaction, p: dict[str, Any]) -> Rows:
    positions, due = set(p["positions"]), tx.now + p["delay"].total_seconds()
    for row in _each(tx, lambda r: r.state == "pending" and r.position in positions):
        tx.change(row, state="scheduled", available_at=due)
        tx.note_set_aside(row.id)
    return []


def drop_replies(tx: Transaction, p: dict[str, Any]) -> Rows:
    positions, gone = set(p["positions"]), []
    for row in _each(
        tx, lambda r: r.state == "pending" and r.task is None and r.exchange == ""
        and r.position in positions,
    ):  # fmt: skip
        tx.delete(row)
        gone.append((row.id,))
    return gone


def promote(tx: Transaction, _p: dict[str, Any]) -> Rows:
    for row in _each(tx, lambda r: r.state == "scheduled" and r.available_at <= tx.now):
        tx.change(row, state="pending", position=tx.next_position())
    return []


def orphans(tx: Transaction, _p: dict[str, Any]) -> Rows:
    gone: Rows = []
    if not tx.guarded("sweep"):
        return gone
    for row in _each(tx, lambda r: r.state == "claimed" and _left(tx, r)):
        tx.change(row, state="pending" if row.sent_at is None else "sent")
        gone.append((row.id, row.task, row.queue, row.holder))
    return gone


def _left(tx: Transaction, row: Row) -> bool:
    return row.lease_until < tx.now or not alive(tx, row)


def _lost(tx: Transaction, row: Row, patience: float) -> bool:
    return (
        row.state == "sent"
        and row.sent_at is not None
        and row.sent_at < tx.now - patience
        and (row.lease_until is None or _left(tx, row))
    )


def waiting(tx: Transaction, p: dict[str, Any]) -> Rows:
    patience, counts = p["patience"].total_seconds(), {}
    for row in tx.rows() if tx.guarded("sweep") else ():
        if _lost(tx, row, patience):
            counts[row.queue] = counts.get(row.queue, 0) + 1
    return sorted(counts.items())


def send_again(tx: Transaction, p: dict[str, Any]) -> Rows:
    patience, again = p["patience"].total_seconds(), []
    for row in _each(tx, lambda r: r.queue == p["queue"] and _lost(tx, r, patience)):
        tx.change(row, state="pending")
        again.append((row.id,))
    return again


def _each(tx: Transaction, wanted: Callable[[Row], bool]) -> Iterator[Row]:
    """Lock what a set-wise statement changes; what another changed meanwhile is looked at anew."""
    for id in [row.id for row in tx.rows() if wanted(row)]:
        row = tx.lock(id, wanted)
        if row is not None:
            yield row


RELAY_RULES: dict[str, Rule] = {
    _SQL.lead: lambda tx, _p: [(tx.hold(_LEAD),)], _SQL.announce: lambda tx, _p: tx.announce(),
    _SQL.leader_age: lambda tx, _p: [(tx.leader_age(),)],
    _SQL.depose: lambda tx, _p: tx.depose(_LEAD),
    _SQL.doze: lambda tx, _p: [(tx.hold(DOZE),)], _SQL.rouse: lambda tx, _p: [(tx.free(DOZE),)],
    _SQL.pending: pending, _SQL.outlook: outlook, _SQL.confirmed: confirmed,
    _SQL.postpone: postpone, _SQL.drop_replies: drop_replies, _SQL.promote: promote,
    _SQL.orphans: orphans, _SQL.waiting: waiting, _SQL.send_again: send_again,
    _SQL.depths: lambda _tx, _p: [],
    _KEPT: lambda _tx, _p: [],  # the model has no subscribers
}  # fmt: skip
