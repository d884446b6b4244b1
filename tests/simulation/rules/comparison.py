"""Runs one statement on PostgreSQL and in the model, and compares the results."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg

from pizza.database.connection import BoundedConnection, connect
from pizza.database.queries import Queries

from ..connection import Connection
from ..database import Database
from ..sample_app import LOCK
from ..transaction import Transaction
from . import RULES
from .base import moment
from .claiming import CLAIM_0_2
from .tables import alike

F, R, K, D = (
    Queries(name)
    for name in (
        "taskqueue/messages",
        "taskqueue/relay",
        "taskqueue/keeper",
        "taskqueue/dead_letters",
    )
)
# Answers whose rows come in no order.
UNORDERED = (
    R.mark_sent_unlocked,
    R.drop_unroutable_events,
    K.rescue_orphaned,
    K.find_deliverable,
    K.newest_claimed,
    K.periodic_last_runs,
    K.expired_workers,
)
# What an answer says when it is an error.
_ERRORS = {"PZ001": "refused", "55P03": "locked"}

# What was answered to what, so that a test that saw too little is noticed.
Answers = set[tuple[str, Any]]


class Client:
    """A connection to the real database, used by one sequence after the other."""

    def __init__(self, db_url: str) -> None:
        self._db_url = db_url
        self.open()

    def open(self) -> None:
        self.conn = connect(self._db_url, name="rules")
        self.conn.execute("set synchronous_commit = off")
        self.conn.execute("set lock_timeout = '20ms'")

    def clear(self) -> None:
        """Release everything that an earlier sequence has left."""
        self.conn.execute("rollback")
        self.conn.execute("select pg_advisory_unlock_all()")


class Both:
    """One client's connection to the database, and its double in the model."""

    def __init__(self, client: Client, model: Database, answers: Answers) -> None:
        self._client = client
        self._answers = answers
        self._model = model
        self.renew_model()

    @property
    def real(self) -> BoundedConnection:
        return self._client.conn

    def renew_model(self) -> None:
        process = self._model.scheduler.process("client")
        self.double = Connection(self._model, process, (RULES | {LOCK: _lock}).get, lambda: None)
        self.double.lock_timeout = 0.02

    def reopen(self) -> None:
        """A new session on both sides."""
        self.real.close()
        self._model.end(self.double)
        self._client.open()
        self.renew_model()

    def ask(self, query: str, parameters: dict[str, Any] | None = None) -> Any:
        """The answer on which both agree. The parameter `before`: how far from now."""
        real, double = self._really(query, parameters), self._in_the_model(query, parameters)
        if query in UNORDERED:
            real, double = sorted(real, key=str), sorted(double, key=str)
        assert alike(double, real), f"{query}\n{parameters}\nmodel: {double}\nreal:  {real}"
        self._answers.add((query, telling(query, real)))
        return real

    def _really(self, query: str, parameters: dict[str, Any] | None) -> Any:
        try:
            if parameters and "before" in parameters:
                parameters = parameters | {"before": datetime.now(UTC) + parameters["before"]}
            cursor = self.real.execute(query, parameters)
        except psycopg.DatabaseError as error:
            assert error.sqlstate in _ERRORS, error
            return _ERRORS[error.sqlstate]
        return cursor.fetchall() if cursor.description is not None else []

    def _in_the_model(self, query: str, parameters: dict[str, Any] | None) -> Any:
        try:
            if parameters and "before" in parameters:
                at = self._model.scheduler.now + parameters["before"].total_seconds()
                parameters = parameters | {"before": moment(at)}
            rows = self.double.execute(query, parameters or {})
        except psycopg.DatabaseError as error:
            return _ERRORS[error.sqlstate or ""]
        return [tuple(r.values()) if isinstance(r, dict) else r for r in rows.fetchall()]

    def begin(self) -> None:
        self.real.execute("begin")
        self.double.tx = Transaction(self._model, self.double)

    def rollback(self) -> None:
        self.real.execute("rollback")
        assert self.double.tx is not None
        self.double.tx.rollback()
        self.double.tx = None


def _lock(tx: Transaction, p: dict[str, Any]) -> list[Any]:
    return [() for id in p["ids"] if tx.lock(id) is not None]


def telling(query: str, answer: Any) -> Any:
    """What one answer has that others have not: a verdict, an error, something or nothing."""
    if isinstance(answer, str):
        return answer
    if query in (F.claim, CLAIM_0_2):
        return answer[0][0]
    if query == F.complete:
        return answer[0][1] is not None
    if query == F.renew:
        return answer[0]
    return bool(answer and answer[0] and answer[0][0])
