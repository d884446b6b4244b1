"""Dead messages for people: list them, send them again, drop them.

They are rows of `dead_message`; the queue of dead letters at the broker has copies of them for other
programs, which go by themselves once the row has gone. Nothing here needs the broker.
"""

from __future__ import annotations

import base64
import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import namedtuple_row, scalar_row

from pizza.database.connection import available
from pizza.database.queries import Queries

log = logging.getLogger(__name__)

_SQL = Queries("dead_messages")

_PAGE = 500
_FIRST_ID = UUID(int=0)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead message; task is None for one that named none, body what it held (text, if text).

    attempt: failures and crashes; runs: how often it was begun; times in UTC, RFC 3339.
    """

    id: str
    reason: str
    task: str | None
    queue: str
    died_at: str
    attempt: int
    runs: int
    body: Any
    headers: dict[str, Any]
    traceback: str | None


@dataclass(frozen=True, slots=True)
class Settled:
    """count: how many were sent again or dropped; failures: why others were not, by their id."""

    count: int
    failures: dict[str, str]


def letters(conn: psycopg.Connection[Any], limit: int = 100) -> list[DeadLetter]:
    """The oldest dead messages, oldest first. Raises DatabaseUnavailable."""
    with available(), conn.cursor(row_factory=namedtuple_row) as cursor:
        return [_letter(row) for row in cursor.execute(_SQL.listed, {"limit": limit})]


def find(conn: psycopg.Connection[Any], id: str) -> DeadLetter | None:
    """One dead message; None when there is none of this id. Raises DatabaseUnavailable."""
    identity = _uuid(id)
    if identity is None:
        return None
    with available(), conn.cursor(row_factory=namedtuple_row) as cursor:
        row = cursor.execute(_SQL.shown, {"id": identity}).fetchone()
    return _letter(row) if row is not None else None


def count(conn: psycopg.Connection[Any]) -> int:
    """How many there are. Raises DatabaseUnavailable."""
    with available(), conn.cursor(row_factory=scalar_row) as cursor:
        number = cursor.execute(_SQL.number).fetchone()
    assert number is not None
    return int(number)


def retry(conn: psycopg.Connection[Any], id: str) -> bool:
    """Send one again, as a new message of its task, in a transaction of its own or the caller's.

    False when there is none of this id. Raises DatabaseUnavailable.
    """
    return _settle(conn, _SQL.retry, _uuid(id))


def drop(conn: psycopg.Connection[Any], id: str) -> bool:
    """Drop one for good; False when there is none of this id. Raises DatabaseUnavailable."""
    return _settle(conn, _SQL.drop, _uuid(id))


def retry_all(conn: psycopg.Connection[Any]) -> Settled:
    """Send all again that are dead now, each in a transaction of its own.

    One that dies again meanwhile is not met a second time; one that cannot be sent hinders no
    other. Raises DatabaseUnavailable.
    """
    return _settle_all(conn, _SQL.retry)


def drop_all(conn: psycopg.Connection[Any]) -> Settled:
    """Drop all that are dead now. Raises DatabaseUnavailable."""
    return _settle_all(conn, _SQL.drop)


def _settle(conn: psycopg.Connection[Any], query: str, id: UUID | None) -> bool:
    if id is None:
        return False
    with available(), conn.cursor(row_factory=scalar_row) as cursor:
        return bool(cursor.execute(query, {"id": id}).fetchone())


def _settle_all(conn: psycopg.Connection[Any], query: str) -> Settled:
    number, failures = 0, {}
    with available(), conn.cursor(row_factory=scalar_row) as cursor:
        until = cursor.execute("select clock_timestamp()").fetchone()
    after: tuple[datetime, UUID] = (datetime.min.replace(tzinfo=UTC), _FIRST_ID)
    while True:
        page = {"died_at": after[0], "id": after[1], "until": until, "limit": _PAGE}
        with available(), conn.cursor(row_factory=namedtuple_row) as cursor:
            rows = cursor.execute(_SQL.ids, page).fetchall()
        for row in rows:
            try:
                number += _settle(conn, query, row.id)
            except psycopg.Error as error:
                if conn.closed:
                    raise
                failures[str(row.id)] = str(error).splitlines()[0]
                log.error(
                    "A dead message stays as it is: %s", error,
                    extra={"action": "dead_letter_failed", "details": {"message_id": str(row.id)}},
                )  # fmt: skip
        if len(rows) < _PAGE:
            return Settled(number, failures)
        after = (rows[-1].died_at, rows[-1].id)


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
        body=_readable(bytes(row.body)),
        headers=row.headers or {},
        traceback=row.traceback,
    )


def _uuid(id: str) -> UUID | None:
    try:
        return UUID(id)
    except ValueError:
        return None


def _readable(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        pass
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}
