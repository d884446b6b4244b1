"""A stand-in for a database connection, for unit tests without servers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg

from pizza.database.queries import Queries
from pizza.taskqueue.job import STALE_CLAIM

_SQL = Queries("taskqueue/messages")

QueryResults = Mapping[str, Sequence[Any] | Callable[[Any], Sequence[Any]]]


class TokenRefused(psycopg.DatabaseError):
    """What a statement raises for a job whose token is stale."""

    sqlstate = STALE_CLAIM


@dataclass(frozen=True)
class Sent:
    """A message that `task.send` or `publish` inserted; `task` is None for an event."""

    id: UUID
    task: str | None
    queue: str | None
    exchange: str
    routing_key: str
    priority: int
    body: Any
    headers: dict[str, Any] | None
    countdown: timedelta | None
    required_tags: list[str] | None = None


class _Rows:
    """The result of a statement."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self._rows = list(rows)
        self.rowcount = len(self._rows)

    def fetchone(self) -> Any:
        return self._rows.pop(0) if self._rows else None

    def fetchall(self) -> list[Any]:
        rows, self._rows = self._rows, []
        return rows


class FakeConnection:
    """Records statements, returns given rows, and rolls back failed transactions.

    answers: the rows of each statement that contains the key; or a function from its parameters
        to the rows.
    failures: the errors that the statements with these numbers (from 1) raise, once each.
    statements, sent: what was committed; a statement is (text, parameters).
    """

    def __init__(
        self, answers: QueryResults | None = None, failures: Mapping[int, Exception] | None = None
    ) -> None:
        self.statements: list[tuple[str, Any]] = []
        self.sent: list[Sent] = []
        self.commits = 0
        self.closed = False
        self.claimed: dict[str, Any] = {}
        self.broken = False
        self.statement_timeout: float | None = None
        self.deadline: float | None = None
        self.abort_event: threading.Event | None = None
        self._last_error: BaseException | None = None
        self._answers = dict(answers or {})
        self._failures = dict(failures or {})
        self._count = 0
        self._depth = 0

    def execute(self, query: str, parameters: Any = None) -> _Rows:
        """Record a statement; returns its rows."""
        self._count += 1
        if self._count in self._failures:
            self._last_error = self._failures.pop(self._count)
            raise self._last_error
        rows = self._answer(query, parameters)
        if query in (_SQL.send, _SQL.send_once, _SQL.publish):
            self.sent.append(_sent(parameters))
        else:
            self.statements.append((query, parameters))
        if not self._depth:
            self.commits += 1
        return _Rows(rows)

    def _answer(self, query: str, parameters: Any) -> Sequence[Any]:
        for piece, rows in self._answers.items():
            if piece in query:
                found = rows(parameters) if callable(rows) else rows
                # The row of a claiming statement starts with the columns of the claim.
                return [{**self.claimed, **r} if isinstance(r, dict) else r for r in found]
        return []

    def raised(self, error: BaseException) -> bool:
        """Whether `error` is the one of `failures` that was raised last."""
        return error is self._last_error

    @contextmanager
    def cursor(self, **_options: Any) -> Generator[FakeConnection, None, None]:
        """Itself; `answers` must have the shape that the caller's row factory makes."""
        yield self

    def fetch_first(self, query: str, parameters: Any = None, _row: Any = None) -> Any:
        """Record a statement; returns its first row."""
        return self.execute(query, parameters).fetchone()

    @contextmanager
    def transaction(self) -> Generator[None, None, None]:
        """Discard what a failed block recorded."""
        before = copy(self.statements), copy(self.sent)
        self._depth += 1
        try:
            yield
        except BaseException:
            self.statements, self.sent = before
            raise
        else:
            self.commits += self._depth == 1
        finally:
            self._depth -= 1

    def close(self) -> None:
        """Do nothing."""


def _sent(parameters: Mapping[str, Any]) -> Sent:
    headers = parameters["headers"]
    return Sent(
        id=parameters["id"],
        task=parameters.get("task"),
        queue=parameters.get("queue"),
        exchange=parameters["exchange"],
        routing_key=parameters["routing_key"],
        priority=parameters["priority"],
        body=json.loads(parameters["body"]),
        headers=headers.obj if headers is not None else None,
        countdown=parameters.get("countdown"),
        required_tags=parameters.get("needs"),
    )
