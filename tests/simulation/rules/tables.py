"""The tables of PostgreSQL and of the model, next to each other."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pizza.database.connection import BoundedConnection

from ...support.waiting import wait_until
from ..database import Database

_MESSAGES = """
select id, position, state::text, task, queue, exchange, routing_key, priority, headers, needs,
       attempt, runs, refusals, token, holder,
       extract(epoch from available_at - clock_timestamp())::float8,
       extract(epoch from sent_at - clock_timestamp())::float8
from message order by position
"""
_SESSIONS = """
select id, name, extract(epoch from lease_renewed_at - clock_timestamp())::float8,
       extract(epoch from lease_expires_at - clock_timestamp())::float8
from worker_session order by id
"""
_DEAD = """
select id, task, queue, exchange, routing_key, priority, headers, needs, body, reason, traceback,
       attempts, runs
from dead_message order by id
"""
_NOTES = "select message_id from redelivery order by 1"
_TALLY = "select what, queue, number from message_counter order by 1, 2"
_EMPTY = "truncate {} restart identity"
_EMPTIED = (
    "message, worker_session, dead_message, redelivery, inbox_message, periodic_task, "
    "message_counter"
)
_NOBODY_LEADS = """
update leader
set pid = null, heartbeat_at = clock_timestamp(), broker_lost_at = null, candidate_at = null
"""
_MOVED = {
    "message": ("available_at", "sent_at", "lease_until"),
    "worker_session": ("lease_renewed_at", "lease_expires_at"),
    "redelivery": ("noted_at",),
    "leader": ("heartbeat_at", "broker_lost_at", "candidate_at"),
    "relay": ("beat_at",),
    "periodic_task": ("last_run_at",),
}
# Some rules ask whether something was within seconds. For the model no time passes between two
# steps; in the database as little.
_REFRESHED = (("redelivery", "noted_at"), ("leader", "broker_lost_at"), ("leader", "candidate_at"))


def alike(one: Any, other: Any) -> bool:
    """Equal, with times near each other; when a row was written is no rule's business."""
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) < 120.0
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    return bool(one == other) or (hasattr(one, "timestamp") and hasattr(other, "timestamp"))


class Tables:
    """Both sides of one comparison. real: a connection that nothing else uses."""

    def __init__(self, real: BoundedConnection, model: Database) -> None:
        self.real = real
        self._model = model

    def begin(self) -> None:
        """Empty all that a sequence uses."""
        self.real.execute(_EMPTY.format(_EMPTIED).encode())
        self.real.execute(_NOBODY_LEADS)
        self.real.execute("update relay set pid = null, beat_at = clock_timestamp()")

    def compare_messages(self) -> None:
        """Raise AssertionError when the table of messages differs."""
        self._compare(_MESSAGES, [self._message(row) for row in self._by_position()])

    def compare_others(self) -> None:
        """Raise AssertionError when another table differs."""
        model = self._model.tables
        for query, expected in (
            (_SESSIONS, [
                (s.id, s.name, self._left(s.lease_renewed_at), self._left(s.lease_expires_at))
                for s in sorted(model["worker_session"].values(), key=lambda s: s.id)
            ]),
            (_DEAD, [
                (d.id, d.task, d.queue, d.exchange, d.routing_key, d.priority, d.headers, d.needs,
                 d.body, d.reason, d.traceback, d.attempts, d.runs)
                for d in sorted(model["dead_message"].values(), key=lambda d: d.id)
            ]),
            (_NOTES, [(id,) for id in sorted(model["redelivery"])]),
            (_TALLY, [(*key, number) for key, number in sorted(model["tally"].items())]),
        ):  # fmt: skip
            self._compare(query, expected)

    def _compare(self, query: str, expected: list[Any]) -> None:
        real = self.real.execute(query).fetchall()
        assert alike(expected, real), f"{query}\nmodel: {expected}\nreal:  {real}"

    def _by_position(self) -> list[Any]:
        return sorted(self._model.messages.values(), key=lambda row: row.position)

    def _left(self, moment: float | None) -> float | None:
        return None if moment is None else moment - self._model.scheduler.now

    def _message(self, row: Any) -> tuple[Any, ...]:
        return (
            row.id, row.position, row.state, row.task, row.queue, row.exchange, row.routing_key,
            row.priority, row.headers, row.needs, row.attempt, row.runs, row.refusals, row.token,
            row.holder, self._left(row.available_at), self._left(row.sent_at),
        )  # fmt: skip

    # -- what each side makes by chance ---------------------------------------------------------

    def same_positions(self) -> None:
        """Rows that change at once are numbered in any order: take over the real one."""
        real = dict(self.real.execute("select id, position from message").fetchall())
        model = self._model.messages
        assert sorted(real.values()) == sorted(row.position for row in model.values())
        for id, position in real.items():
            model[id] = model[id].changed(position=position)

    def same_ids(self) -> None:
        """Take over the ids that the database has made."""
        model = self._model.tables
        dead = {id for (id,) in self.real.execute("select id from dead_message").fetchall()}
        for ours, real in zip(
            model["dead_message"].keys() - dead, dead - model["dead_message"].keys(), strict=True
        ):
            model["dead_message"][real] = model["dead_message"].pop(ours).changed(id=real)
            for row in self._by_position():
                if row.headers and row.headers.get("dead_message") == str(ours):
                    headers = {**row.headers, "dead_message": str(real)}
                    model["message"][row.id] = row.changed(headers=headers)
        for id, position in self.real.execute("select id, position from message").fetchall():
            for row in self._by_position():
                if row.position == position and row.id != id:
                    model["message"].pop(row.id)
                    model["message"][id] = row.changed(id=id)

    # -- time -------------------------------------------------------------------------------------

    def move(self, by: timedelta) -> None:
        """Let time pass."""
        self._model.scheduler.now += by.total_seconds()
        for table, columns in _MOVED.items():
            changes = ", ".join(f"{name} = {name} - %(by)s" for name in columns)
            self.real.execute(f"update {table} set {changes}".encode(), {"by": by})

    def refresh(self) -> None:
        """What is seconds old in the database happens now."""
        for table, name in _REFRESHED:
            self.real.execute(
                f"update {table} set {name} = clock_timestamp() "
                f"where {name} > clock_timestamp() - interval '5 minutes'".encode()
            )

    def wait_for_end(self, pid: int) -> None:
        """Wait until a backend is gone."""
        query = "select not exists (select from pg_stat_activity where pid = %(pid)s)"
        with self.real.cursor() as cursor:
            wait_until(
                lambda: cursor.execute(query, {"pid": pid}).fetchone() == (True,),
                2,
                f"backend {pid} has ended",
            )
