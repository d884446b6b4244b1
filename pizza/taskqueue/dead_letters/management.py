"""Lists, retries and drops dead letters.

A dead letter is a row of `dead_message`. RabbitMQ's dead-letter queue has a copy for other
programs; the importer removes the copy once the row is gone. Nothing here needs the broker.
"""

import base64
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import namedtuple_row

from pizza.database.connection import translate_errors
from pizza.database.errors import DatabaseTransientError
from pizza.database.queries import Queries
from pizza.taskqueue.logs import log_action

log = logging.getLogger(__name__)

_SQL = Queries("taskqueue/dead_letters")

# Octets of a body in a list.
PREVIEW_BYTES = 4096
_PAGE_SIZE = 100
_BATCH_SIZE = 500
# A body with deeper nesting is shown as text: JSON encoding recurses once a level.
_MAX_DEPTH = 64
_START = (datetime.min.replace(tzinfo=UTC), UUID(int=0))


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """One dead letter, as read from its row.

    task: None for an event, or a message without a task. attempt: failures and crashes. runs: how
    often a worker started it. died_at: UTC, RFC 3339. needs: the tags required of a worker.
    body: JSON, or text, or {"base64": …}; in a list the first PREVIEW_BYTES octets of a larger body
    as text. size: octets of the whole body.
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
class BulkResult:
    """count: how many were retried or dropped. failures: the reason of each other one, by id."""

    count: int
    failures: dict[str, str]


def list_dead_letters(conn: psycopg.Connection[Any], limit: int = 100) -> list[StoredDeadLetter]:
    """Up to `limit` dead letters, oldest first. Raises DatabaseUnavailable."""
    return [each for page in list_pages(conn, limit) for each in page]


def list_pages(conn: psycopg.Connection[Any], limit: int) -> Iterator[list[StoredDeadLetter]]:
    """As `list_dead_letters`, in pages, so that few are in memory at once."""
    after = _START
    while limit > 0:
        page = {
            "died_at": after[0],
            "id": after[1],
            "limit": min(limit, _PAGE_SIZE),
            "preview": PREVIEW_BYTES,
        }
        rows = _fetch(conn, _SQL.list_page, page)
        if rows:
            yield list(map(_from_row, rows))
        if len(rows) < _PAGE_SIZE:
            return
        limit -= len(rows)
        after = (rows[-1].died_at, rows[-1].id)


def find(conn: psycopg.Connection[Any], id: str) -> StoredDeadLetter | None:
    """One dead letter with its whole body; None for an unknown id. Raises DatabaseUnavailable."""
    identity = parse_id(id)
    if identity is None:
        return None
    rows = _fetch(conn, _SQL.find_by_id, {"id": identity})
    return _from_row(rows[0]) if rows else None


def count(conn: psycopg.Connection[Any]) -> int:
    """The number of dead letters. Raises DatabaseUnavailable."""
    return int(_fetch(conn, _SQL.count_all)[0][0])


def retry(conn: psycopg.Connection[Any], id: str) -> BulkResult:
    """Send one again as a new message of its task, in a transaction (or the caller's).

    An event is sent only to the queue in which it died. An unknown id gives count 0 and no failure.
    Raises DatabaseUnavailable.
    """
    return _apply_to_one(conn, _SQL.retry, id)


def drop(conn: psycopg.Connection[Any], id: str) -> BulkResult:
    """Delete one; otherwise as `retry`."""
    return _apply_to_one(conn, _SQL.drop, id)


def retry_all(conn: psycopg.Connection[Any]) -> BulkResult:
    """Send again all that are dead at the call, in transactions of up to 500.

    One that dies again meanwhile is not sent twice; one that cannot be sent stops no other. `conn`
    is in autocommit mode, without an open transaction. Raises DatabaseUnavailable; what was sent
    before stays sent.
    """
    return _apply_to_all(conn, _SQL.retry)


def drop_all(conn: psycopg.Connection[Any]) -> BulkResult:
    """Delete all that are dead at the call; otherwise as `retry_all`."""
    return _apply_to_all(conn, _SQL.drop)


def _apply_to_one(conn: psycopg.Connection[Any], query: str, id: str) -> BulkResult:
    identity = parse_id(id)
    return _apply_to_batch(conn, query, [identity]) if identity is not None else BulkResult(0, {})


def _apply_to_all(conn: psycopg.Connection[Any], query: str) -> BulkResult:
    number: int = 0
    failures: dict[str, str] = {}
    after, until = _START, _fetch(conn, "select clock_timestamp()")[0][0]
    while True:
        page = {"died_at": after[0], "id": after[1], "until": until, "limit": _BATCH_SIZE}
        rows = _fetch(conn, _SQL.list_ids, page)
        result = _apply_to_batch(conn, query, [row.id for row in rows])
        number += result.count
        failures |= result.failures
        if len(rows) < _BATCH_SIZE:
            return BulkResult(number, failures)
        after = (rows[-1].died_at, rows[-1].id)


def _apply_to_batch(conn: psycopg.Connection[Any], query: str, ids: Sequence[UUID]) -> BulkResult:
    """All in one transaction. On an error each half separately, down to one dead letter."""
    if not ids:
        return BulkResult(0, {})
    try:
        with conn.transaction():
            return BulkResult(int(_fetch(conn, query, {"ids": list(ids)})[0][0]), {})
    except (psycopg.Error, DatabaseTransientError) as error:
        reason = _rejection_reason(conn, error)
    if len(ids) > 1:
        middle = len(ids) // 2
        first = _apply_to_batch(conn, query, ids[:middle])
        second = _apply_to_batch(conn, query, ids[middle:])
        return BulkResult(first.count + second.count, first.failures | second.failures)
    text = f"A dead message stays as it is: {reason}"
    log_action(log.error, "dead_letter_failed", text, {"message_id": str(ids[0])})
    return BulkResult(0, {str(ids[0]): reason})


def _rejection_reason(conn: psycopg.Connection[Any], error: Exception) -> str:
    """The reason of PostgreSQL's error. Raises an error that would be the same for all others."""
    cause = error.__cause__ if isinstance(error, DatabaseTransientError) else error
    locked = isinstance(cause, psycopg.errors.LockNotAvailable)
    state = getattr(cause, "sqlstate", None) or ""
    # Class 42: a missing table or function, or no permission.
    concerns_all = state.startswith("42") or (
        isinstance(error, DatabaseTransientError) and not locked
    )
    if conn.closed or concerns_all:
        raise error
    return str(cause).splitlines()[0]


def _fetch(conn: psycopg.Connection[Any], query: str, values: Any = None) -> list[Any]:
    with translate_errors(), conn.cursor(row_factory=namedtuple_row) as cursor:
        return cursor.execute(query, values).fetchall()


def _from_row(row: Any) -> StoredDeadLetter:
    at = row.died_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    converted = {
        "id": str(row.id),
        "died_at": at,
        "body": _preview(bytes(row.body), row.size),
        "headers": row.headers or {},
    }
    return StoredDeadLetter(**row._asdict() | converted)


def parse_id(text: object) -> UUID | None:
    """The id that a text is; None if it is no UUID."""
    try:
        return UUID(str(text))
    except ValueError:
        return None


def _preview(body: bytes, size: int) -> Any:
    """The body as JSON, text or base64. size: octets of the whole body; `body` may be a part."""
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
