"""The rules of sql/taskqueue/queries/relay.sql: the election of the leader, and its batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pizza.database.queries import Queries

from ..database import Row
from ..transaction import Transaction
from .base import ASLEEP, Pending, Rows, Rule, pending_row, unlocked
from .tokens import count

_SQL = Queries("taskqueue/relay")
_LEAD, _LEAD_BEFORE = "leader publisher", "leader of release 0.2"
_CANDIDATE_S, _WITHOUT_BROKER_S, _LED_BEFORE_S = 3, 2, 30


# -- election ----------------------------------------------------------------------------


def heartbeat(tx: Transaction, p: dict[str, Any]) -> Rows:
    leader = tx.get("leader", "publisher")
    lost_at = leader.broker_lost_at or tx.now if p["broker"] == "away" else None
    beaten = leader.changed(heartbeat_at=tx.now, broker_lost_at=lost_at, connection=tx.connection)
    tx.put("leader", "publisher", beaten)
    candidate_at = leader.candidate_at
    return [(None if candidate_at is None else candidate_at > tx.now - _CANDIDATE_S,)]


def leader(tx: Transaction, _p: dict[str, Any]) -> Rows:
    row = tx.get("leader", "publisher")
    lost_at = row.broker_lost_at
    without_broker = lost_at is not None and lost_at < tx.now - _WITHOUT_BROKER_S
    return [(tx.now - row.heartbeat_at, without_broker)]


def stand_for_election(tx: Transaction, _p: dict[str, Any]) -> Rows:
    row = tx.get("leader", "publisher")
    tx.put("leader", "publisher", row.changed(candidate_at=tx.now))
    return []


def led_before(tx: Transaction, _p: dict[str, Any]) -> Rows:
    row = tx.get("leader", "publisher")
    leads = tx.locked_elsewhere(_LEAD_BEFORE) and tx.owns(_LEAD_BEFORE, row.connection)
    return [(leads and row.heartbeat_at > tx.now - _LED_BEFORE_S,)]


# -- batches -----------------------------------------------------------------------------


def pending(tx: Transaction, p: dict[str, Any]) -> Rows:
    unmarked = set(p["unmarked"])
    rows = [r for r in tx.rows() if r.state == "pending" and r.position not in unmarked]
    rows.sort(key=lambda r: r.position, reverse=not tx.guarded("order"))
    if p["asleep"]:
        tx.free(ASLEEP)
    batch, size = [], 0
    for row in rows[: p["limit"]]:
        if size < p["bytes"]:
            batch.append(pending_row(row))
        size += len(row.body)
    return batch or [Pending(*(None,) * 12)]


def has_pending(tx: Transaction, p: dict[str, Any]) -> Rows:
    rows = tx.rows()
    return [(any(r.state == "pending" and r.position not in p["unmarked"] for r in rows),)]


def _at(positions: Any) -> Callable[[Row], bool]:
    wanted = set(positions)
    return lambda row: row.state == "pending" and row.position in wanted


def _mark(tx: Transaction, row: Row) -> None:
    if row.task is None:
        tx.delete(row)
    else:
        tx.change(row, state="sent", sent_at=tx.now, refusals=0)


def confirmed(tx: Transaction, p: dict[str, Any]) -> Rows:
    for row in _each(tx, _at(p["positions"])):
        _mark(tx, row)
    return []


def confirmed_unlocked(tx: Transaction, p: dict[str, Any]) -> Rows:
    wanted = _at(p["positions"])
    before = {row.position for row in tx.rows() if wanted(row)}
    free = set()
    for row in unlocked(tx, wanted):
        free.add(row.position)
        _mark(tx, row)
    return [(position,) for position in before - free]


def park(tx: Transaction, p: dict[str, Any]) -> Rows:
    due = tx.now + p["delay"].total_seconds()
    for row in unlocked(tx, _at(p["positions"])):
        tx.change(row, state="scheduled", available_at=due, refusals=row.refusals + 1)
        tx.note("set aside", row.id)
    return []


def drop_events(tx: Transaction, p: dict[str, Any]) -> Rows:
    wanted = _at(p["positions"])
    gone: dict[str, int] = {}
    for row in unlocked(tx, lambda r: r.task is None and wanted(r)):
        tx.delete(row)
        count(tx, "unroutable", row.exchange)
        gone[row.exchange] = gone.get(row.exchange, 0) + 1
    return [(exchange, number, True) for exchange, number in sorted(gone.items())]


def _each(tx: Transaction, wanted: Callable[[Row], bool]) -> Iterator[Row]:
    """Lock what a set-wise statement changes; what another changed meanwhile is read again."""
    for id in [row.id for row in tx.rows() if wanted(row)]:
        row = tx.lock(id, wanted)
        if row is not None:
            yield row


PUBLISHING: dict[str, Rule] = {
    _SQL.leader_acquire: lambda tx, _p: [(tx.hold(_LEAD),)],
    _SQL.legacy_leader_acquire: lambda tx, _p: [(tx.hold(_LEAD_BEFORE),)],
    _SQL.legacy_leader_exists: led_before,
    _SQL.leader_release: lambda tx, _p: [(tx.free(_LEAD), tx.free(_LEAD_BEFORE))],
    _SQL.leader_heartbeat: heartbeat,
    _SQL.leader_status: leader,
    _SQL.candidate_announce: stand_for_election,
    _SQL.leader_terminate: lambda tx, _p: [(tx.terminate(_LEAD),)],
    _SQL.channel_name: lambda _tx, p: [(p["name"],)],
    _SQL.publisher_sleep: lambda tx, _p: [(tx.hold(ASLEEP),)],
    _SQL.publisher_wake: lambda tx, _p: [(tx.free(ASLEEP),)],
    _SQL.fetch_pending: pending,
    _SQL.has_pending: has_pending,
    _SQL.mark_sent: confirmed,
    _SQL.mark_sent_unlocked: confirmed_unlocked,
    _SQL.park_message: park,
    _SQL.drop_unroutable_events: drop_events,
}
