"""Dead messages for people: list them, send them again, drop them.

They are rows of `dead_message`. The dead-letter queue at the broker has copies of them for other
programs; a copy goes once its row has gone. Nothing here needs the broker.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import namedtuple_row, scalar_row

from pizza.database.connection import translate_errors
from pizza.database.errors import DatabaseTransientError
from pizza.database.queries import Queries

log = logging.getLogger(__name__)

_SQL = Queries("taskqueue/dead_letters")

# Octets of a body that a list shows.
PREVIEW = 4096
_LIST_PAGE = 100
_SETTLE_PAGE = 500
# A body that is nested deeper is shown as text: writing it as JSON needs a frame for each level.
_MAX_DEPTH = 64
_FIRST = (datetime.min.replace(tzinfo=UTC), UUID(int=0))


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead message.

    task: None for an event, or a message that named none. attempt: failures and crashes; runs: how
    often a worker began it. died_at: UTC, RFC 3339. needs: tags that a worker must have for it.
    body: its JSON, or its text, or {"base64": …}; size: its octets. In a list a body of more than
    PREVIEW octets is the text of its beginning.
    """

    id: str
    reason: str
    task: str | None
    queue: str
    died_at: str
    attempt: int
    runs: int
    priority: int
    needs: list[str] | None
    body: Any
    size: int
    headers: dict[str, Any]
    traceback: str | None


@dataclass(frozen=True, slots=True)
class Settled:
    """count: how many were sent again or dropped; failures: why others were not, by their id."""

    count: int
    failures: dict[str, str]


def letters(conn: psycopg.Connection[Any], limit: int = 100) -> list[DeadLetter]:
    """The oldest dead messages, oldest first. Raises DatabaseUnavailable."""
    return [each for page in pages(conn, limit) for each in page]


def pages(conn: psycopg.Connection[Any], limit: int) -> Iterator[list[DeadLetter]]:
    """The same, a page after the other, so that few are in memory at once."""
    after = _FIRST
    while limit > 0:
        page = {
            "died_at": after[0], "id": after[1], "limit": min(limit, _LIST_PAGE),
            "preview": PREVIEW,
        }  # fmt: skip
        with translate_errors(), conn.cursor(row_factory=namedtuple_row) as cursor:
            rows: list[Any] = cursor.execute(_SQL.listed, page).fetchall()
        if rows:
            yield list(map(_letter, rows))
        if len(rows) < _LIST_PAGE:
            return
        limit -= len(rows)
        after = (rows[-1].died_at, rows[-1].id)


def find(conn: psycopg.Connection[Any], id: str) -> DeadLetter | None:
    """One dead message, whole; None when there is none of this id. Raises DatabaseUnavailable."""
    identity = _uuid(id)
    if identity is None:
        return None
    with translate_errors(), conn.cursor(row_factory=namedtuple_row) as cursor:
        row = cursor.execute(_SQL.shown, {"id": identity}).fetchone()
    return _letter(row) if row is not None else None


def count(conn: psycopg.Connection[Any]) -> int:
    """How many there are. Raises DatabaseUnavailable."""
    return int(_value(conn, _SQL.number))


def retry(conn: psycopg.Connection[Any], id: str) -> Settled:
    """Send one again, as a new message of its task, in a transaction of its own or the caller's.

    An event goes to the queue in which it died, and to no other. Count 0 without a failure: there
    is none of this id. Raises DatabaseUnavailable.
    """
    return _settle(conn, _SQL.retry, id)


def drop(conn: psycopg.Connection[Any], id: str) -> Settled:
    """Drop one for good; as `retry` otherwise."""
    return _settle(conn, _SQL.drop, id)


def retry_all(conn: psycopg.Connection[Any]) -> Settled:
    """Send all again that are dead now, in transactions of up to 500.

    One that dies again meanwhile is not met a second time; one that cannot be sent hinders no
    other. `conn` is in autocommit mode, without an open transaction. Raises DatabaseUnavailable:
    what was sent until then stays sent.
    """
    return _settle_all(conn, _SQL.retry)


def drop_all(conn: psycopg.Connection[Any]) -> Settled:
    """Drop all that are dead now; as `retry_all` otherwise."""
    return _settle_all(conn, _SQL.drop)


def _settle(conn: psycopg.Connection[Any], query: str, id: str) -> Settled:
    identity = _uuid(id)
    return _settle_page(conn, query, [identity]) if identity is not None else Settled(0, {})


def _settle_all(conn: psycopg.Connection[Any], query: str) -> Settled:
    number: int = 0
    failures: dict[str, str] = {}
    after, until = _FIRST, _value(conn, "select clock_timestamp()")
    while True:
        page = {"died_at": after[0], "id": after[1], "until": until, "limit": _SETTLE_PAGE}
        with translate_errors(), conn.cursor(row_factory=namedtuple_row) as cursor:
            rows: list[Any] = cursor.execute(_SQL.ids, page).fetchall()
        settled = _settle_page(conn, query, [row.id for row in rows])
        number += settled.count
        failures |= settled.failures
        if len(rows) < _SETTLE_PAGE:
            return Settled(number, failures)
        after = (rows[-1].died_at, rows[-1].id)


def _settle_page(conn: psycopg.Connection[Any], query: str, ids: Sequence[UUID]) -> Settled:
    """All in one transaction; if that fails, in halves, so that one stays alone with its error."""
    if not ids:
        return Settled(0, {})
    try:
        with conn.transaction():
            return Settled(int(_value(conn, query, {"ids": list(ids)})), {})
    except (psycopg.Error, DatabaseTransientError) as error:
        reason = _refusal(conn, error)
    if len(ids) > 1:
        middle = len(ids) // 2
        first = _settle_page(conn, query, ids[:middle])
        second = _settle_page(conn, query, ids[middle:])
        return Settled(first.count + second.count, first.failures | second.failures)
    log.error(
        "A dead message stays as it is: %s", reason,
        extra={"action": "dead_letter_failed", "details": {"message_id": str(ids[0])}},
    )  # fmt: skip
    return Settled(0, {str(ids[0]): reason})


def _refusal(conn: psycopg.Connection[Any], error: Exception) -> str:
    """Why PostgreSQL refuses a dead message. Raises what would be the same for every other."""
    cause = error.__cause__ if isinstance(error, DatabaseTransientError) else error
    locked = isinstance(cause, psycopg.errors.LockNotAvailable)
    state = getattr(cause, "sqlstate", None) or ""
    # Class 42: no such table or function, or no right to it.
    of_all = state.startswith("42") or (isinstance(error, DatabaseTransientError) and not locked)
    if conn.closed or of_all:
        raise error
    return str(cause).splitlines()[0]


def _value(conn: psycopg.Connection[Any], query: str, values: Any = None) -> Any:
    with translate_errors(), conn.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(query, values).fetchone()


def _letter(row: Any) -> DeadLetter:
    at = row.died_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return DeadLetter(
        id=str(row.id),
        reason=row.reason,
        task=row.task,
        queue=row.queue,
        died_at=at,
        attempt=row.attempts,
        runs=row.runs,
        priority=row.priority,
        needs=row.needs,
        body=_readable(bytes(row.body), row.size),
        size=row.size,
        headers=row.headers or {},
        traceback=row.traceback,
    )


def _uuid(id: str) -> UUID | None:
    try:
        return UUID(id)
    except ValueError:
        return None


def _readable(body: bytes, size: int) -> Any:
    """A body for people. size: of the whole body, of which this may be the beginning."""
    if len(body) < size:
        return body.decode(errors="replace")
    try:
        value = json.loads(body)
        if not _is_deep(value):
            return value
    except (ValueError, RecursionError):
        pass
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True
