"""Leases of workers: renewal, expiry, and the end of expired sessions."""

from __future__ import annotations

from typing import Any

from pizza.database.queries import Queries

from ..database import Record
from ..transaction import Transaction
from .base import Rows, Rule

_SQL, _KEEPER = Queries("taskqueue/messages"), Queries("taskqueue/keeper")
# Leases from before the server's start count for so long.
_GRACE_S = 10
_FORGOTTEN_S = 60


def alive(tx: Transaction, holder: int, lease_until: float | None = None) -> bool:
    """The function worker_session_alive."""
    if not tx.locked_elsewhere(holder):
        return _grace(tx, holder)
    session = tx.get("worker_session", holder)
    expires = session.lease_expires_at if session is not None else lease_until
    return (expires is not None and expires > tx.now) or _grace(tx, holder)


def _grace(tx: Transaction, holder: int) -> bool:
    if tx.server_start <= tx.now - _GRACE_S:
        return False
    session = tx.get("worker_session", holder)
    return session is None or session.lease_renewed_at < tx.server_start


def register(tx: Transaction, p: dict[str, Any]) -> Rows:
    former = tx.get("worker_session", p["worker_id"])
    row = former or Record(id=p["worker_id"], name=p["name"])
    lease = tx.now + p["lease"].total_seconds()
    tx.put(
        "worker_session",
        p["worker_id"],
        row.changed(lease_renewed_at=tx.now, lease_expires_at=lease),
    )
    return []


def renew(tx: Transaction, p: dict[str, Any]) -> Rows:
    session = tx.get("worker_session", p["worker_id"])
    if session is not None:
        lease = tx.now + p["lease"].total_seconds()
        renewed = session.changed(lease_renewed_at=tx.now, lease_expires_at=lease)
        tx.put("worker_session", p["worker_id"], renewed)
    row = tx.row(p["id"])
    held = p["id"] is None or (row is not None and row.token == p["token"])
    return [(session is not None, held)]


def unregister(tx: Transaction, p: dict[str, Any]) -> Rows:
    tx.put("worker_session", p["worker_id"], None)
    return []


def expired_workers(tx: Transaction, p: dict[str, Any]) -> Rows:
    sessions = [each for _, each in tx.items("worker_session") if each.lease_expires_at < tx.now]
    sessions.sort(key=lambda each: each.lease_expires_at)
    return [(each.id, each.name) for each in sessions[: p["limit"]]]


def terminate_worker(tx: Transaction, p: dict[str, Any]) -> Rows:
    if not tx.guarded("terminate"):
        return [(0,)]
    return [(tx.terminate(p["worker"]) + tx.terminate(-p["worker"]),)]


def forget_workers(tx: Transaction, _p: dict[str, Any]) -> Rows:
    working = {row.holder for row in tx.rows() if row.state == "claimed"}
    for id, session in tx.items("worker_session"):
        is_old = session.lease_expires_at < tx.now - _FORGOTTEN_S
        if is_old and id not in working and not alive(tx, id):
            tx.put("worker_session", id, None)
    return []


SESSIONS: dict[str, Rule] = {
    _SQL.try_lock: lambda tx, p: [(tx.hold(p["key"]),)],
    _SQL.end_predecessor: lambda tx, p: [(tx.terminate(p["key"]),)],
    _SQL.register: register,
    _SQL.renew: renew,
    _SQL.unregister: unregister,
    _KEEPER.expired_workers: expired_workers,
    _KEEPER.terminate_worker: terminate_worker,
    _KEEPER.delete_dead_workers: forget_workers,
    _KEEPER.count_workers: lambda tx, _p: [
        (sum(each.lease_expires_at > tx.now for _, each in tx.items("worker_session")),)
    ],
}
