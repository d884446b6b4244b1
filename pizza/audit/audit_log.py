"""The audit log: who has changed what, or read whose data, from where.

Entries of changes are written in the transaction of the change. They hold no name of a guest, no
key, no token and no secret; a customer stands there as a keyed hash of the name.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from pizza.audit import storage
from pizza.audit.storage import AuditEntry
from pizza.database.connection import Connection
from pizza.database.errors import DatabaseError
from pizza.domain.actor import Actor
from pizza.domain.errors import FieldError, InvalidRequest
from pizza.domain.names import fold_name
from pizza.taskqueue.logs import log_action

log = logging.getLogger(__name__)

Details = Mapping[str, Any]

CUSTOMER = "customer"
LISTED, MOST_LISTED = 50, 1000


@dataclass(frozen=True, slots=True)
class Subject:
    """What a change or a read is about. id: empty for the only one of its kind, and for all."""

    kind: str
    id: str = ""


def customer_subject(conn: Connection, name: str) -> Subject:
    """A customer, by the name in any spelling."""
    return Subject(CUSTOMER, storage.hash_customer(conn, fold_name(name)))


def record_change(
    conn: Connection,
    actor: Actor,
    action: str,
    subject: Subject,
    *,
    before: Details | None = None,
    after: Details | None = None,
) -> None:
    """Add an entry, in the caller's transaction. before, after: fields that JSON can hold, and
    decimals and times.
    """
    storage.insert_entry(
        conn,
        actor=actor.name,
        key_id=actor.key_id,
        role=actor.role,
        source=actor.source,
        action=action,
        kind=subject.kind,
        id=subject.id,
        before=_as_json(before),
        after=_as_json(after),
    )


def record_read(conn: Connection, actor: Actor, action: str, subject: Subject) -> bool:
    """Add an entry of a read, which has succeeded; False: it could not be written, and is logged.

    A database that takes no writes hinders nobody from reading.
    """
    try:
        record_change(conn, actor, action, subject)
    except (psycopg.Error, DatabaseError) as error:
        details = {"actor": actor.name, "read": action, "object": subject.kind}
        log_action(log.error, "audit_failed", f"A read is not in the audit log: {error}", details)
        return False
    return True


def list_entries(
    conn: Connection,
    *,
    actor: str | None = None,
    action: str | None = None,
    about: str | None = None,
    since: datetime | None = None,
    before: int | None = None,
    limit: int = LISTED,
) -> list[AuditEntry]:
    """The newest entries that fit all that is given.

    about: a kind (`webhook`), a kind and an id (`webhook 3`), or `customer` and a name.
    before: only entries with smaller ids. Raises InvalidRequest.
    """
    if not 1 <= limit <= MOST_LISTED:
        raise InvalidRequest(
            [FieldError("limit", f"must be a whole number from 1 to {MOST_LISTED}")]
        )
    for field, text in (("actor", actor), ("action", action), ("object", about)):
        if text is not None and "\0" in text:
            raise InvalidRequest([FieldError(field, "must not contain NUL")])
    kind, _, object_id = (about or "").partition(" ")
    if kind == CUSTOMER and object_id:
        object_id = customer_subject(conn, object_id).id
    filters = {"actor": actor, "action": action, "kind": kind, "object": object_id}
    given = {name: text or None for name, text in filters.items()}
    return storage.list_entries(conn, **given, since=since, before=before, limit=limit)


def _as_json(details: Details | None) -> Jsonb | None:
    if details is None:
        return None
    return Jsonb({name: _value(each) for name, each in details.items()})


def _value(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value.isoformat() if isinstance(value, date) else value
