"""Staff keys: created, listed, revoked; and the webhooks that are disabled with a key."""

from __future__ import annotations

import hashlib
import logging
import secrets
from datetime import timedelta

from pizza.audit import Subject, record_change
from pizza.auth import storage
from pizza.auth.storage import StaffKey
from pizza.database.connection import Connection
from pizza.domain.actor import UNNAMED, Actor
from pizza.domain.errors import FieldError, InvalidRequest
from pizza.domain.names import text_error
from pizza.domain.roles import KINDS, MANAGER, PERSON, ROLES
from pizza.taskqueue.logs import log_action

log = logging.getLogger(__name__)

KEY_BYTES = 20
# A key's name is part of the signature in an order's history (pizza.domain.actor).
NAME_LENGTH = 50
ENVIRONMENT_PREFIX = "env-"
_EXPIRY = Actor("key expiry", source="periodic task")


def digest(key: str) -> bytes:
    """SHA-256 of a key. Keys are random, so a slow hash is not needed."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def environment_id(key_digest: bytes) -> str:
    """The id of a key of the environment: a hash of its digest, which it does not reveal."""
    return f"{ENVIRONMENT_PREFIX}{hashlib.sha256(b'id' + key_digest).hexdigest()[:8]}"


def add_key(
    conn: Connection,
    name: str,
    *,
    role: str = MANAGER,
    kind: str = PERSON,
    good_for: timedelta | None = None,
    actor: Actor = UNNAMED,
) -> tuple[StaffKey, str]:
    """Create a key; returns it and its text, which is not stored. good_for: None for no expiry.

    In its own transaction or the caller's. Running services accept the key within a second; from
    the first key on they require one. Raises InvalidRequest.
    """
    _check(name, role, kind, good_for)
    key_id = secrets.token_hex(4)
    key = f"pizza_{key_id}_{secrets.token_hex(KEY_BYTES)}"
    limited = role != MANAGER or good_for is not None
    with conn.transaction():
        kept = storage.insert_key(
            conn,
            id=key_id,
            name=name,
            role=role,
            kind=kind,
            good_for=good_for,
            # Random bits that are the hash of no key.
            hash=secrets.token_bytes(32) if limited else digest(key),
            limited_hash=digest(key) if limited else None,
        )
        record_change(conn, actor, "key_added", Subject("key", key_id), after=_facts(kept))
    _log_change("staff_key_added", kept)
    return kept, key


def revoke_key(conn: Connection, key_id: str, *, actor: Actor = UNNAMED) -> StaffKey:
    """Revoke a key, in running services within a second. Raises StaffKeyNotFound.

    Its sessions end and its webhooks are disabled in the same transaction.
    """
    with conn.transaction():
        before = storage.lock_key(conn, key_id)
        kept = storage.revoke_key(conn, key_id)
        if before.revoked_at is None:
            ended = storage.end_sessions_of_key(conn, key_id)
            after = {**_facts(kept), "sessions_ended": ended}
            subject = Subject("key", key_id)
            record_change(conn, actor, "key_revoked", subject, before=_facts(before), after=after)
            _disable_webhooks(conn, actor, key_id)
    _log_change("staff_key_revoked", kept)
    return kept


def disable_void_webhooks(conn: Connection) -> None:
    """Disable the webhooks whose keys have expired. A periodic task."""
    with conn.transaction():
        _disable_webhooks(conn, _EXPIRY, None)


def _disable_webhooks(conn: Connection, actor: Actor, key_id: str | None) -> None:
    for id, reason in storage.disable_webhooks(conn, key_id):
        record_change(
            conn, actor, "webhook_disabled", Subject("webhook", str(id)), after={"reason": reason}
        )
        log_action(log.warning, "webhook_disabled", f"Webhook disabled: {reason}", {"webhook": id})


def _check(name: str, role: str, kind: str, good_for: timedelta | None) -> None:
    errors = []
    if message := text_error(name, NAME_LENGTH):
        errors.append(FieldError("name", message))
    if role not in ROLES:
        errors.append(FieldError("role", f"must be one of {', '.join(ROLES)}"))
    if kind not in KINDS:
        errors.append(FieldError("kind", f"must be one of {', '.join(KINDS)}"))
    if good_for is not None and good_for <= timedelta():
        errors.append(FieldError("expires", "must be in the future"))
    if errors:
        raise InvalidRequest(errors)


def _facts(key: StaffKey) -> dict[str, object]:
    names = ("name", "role", "kind", "expires_at", "revoked_at")
    return {name: getattr(key, name) for name in names}


def _log_change(action: str, key: StaffKey) -> None:
    details = {"id": key.id, "name": key.name, "role": key.role}
    log_action(log.info, action, "Staff keys have changed", details)
