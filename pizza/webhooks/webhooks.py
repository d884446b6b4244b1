"""Webhooks as staff sees them: registered, changed, tested, and the log of their deliveries."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import psycopg

from pizza.audit import audit_log
from pizza.audit.audit_log import Subject
from pizza.auth.keys import ENVIRONMENT_PREFIX
from pizza.domain import webhooks as domain
from pizza.domain.actor import UNNAMED, Actor
from pizza.domain.errors import (
    FieldError,
    InvalidRequest,
    WebhookDeliveryNotFound,
    WebhookDisabled,
    WebhookNotFound,
)
from pizza.domain.names import text_error
from pizza.domain.webhook_urls import HTTPS, InvalidUrl, parse_url
from pizza.webhooks import storage
from pizza.webhooks.client import CallFailed, TargetRefused, refuse_private, resolve
from pizza.webhooks.events import note, send
from pizza.webhooks.storage import Webhook, WebhookDelivery

log = logging.getLogger(__name__)

Connection = psycopg.Connection[Any]

DESCRIPTION_LENGTH = 200
LISTED, MOST_LISTED = 50, 500
BY_STAFF = "by staff"
# After a rotation deliveries are signed with both secrets for so long.
BOTH_SECRETS = timedelta(days=1)
_LOOK_UP_S = 1.0
_LARGEST_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Policy:
    """Where webhooks may be: by which schemes; whether also at addresses that are not public."""

    schemes: Sequence[str] = (HTTPS,)
    private: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What to change of a webhook; None: as it was. types, description: empty for none."""

    url: str | None = None
    types: Sequence[str] | None = None
    description: str | None = None
    enabled: bool | None = None


def check(policy: Policy, change: Change) -> None:
    """Look at what is to be registered or changed; may take a second, and needs no database.

    Raises InvalidRequest, also for a URL that leads to an address which is not public.
    """
    errors = []
    if change.url is not None and (message := _url_error(policy, change.url)):
        errors.append(FieldError("url", message))
    if unknown := [each for each in change.types or () if each not in domain.TYPES]:
        known = ", ".join(domain.TYPES)
        errors.append(FieldError("types", f"knows {known}, not {unknown[0][:100]!r}"))
    if change.description and (message := text_error(change.description, DESCRIPTION_LENGTH)):
        errors.append(FieldError("description", message))
    if errors:
        raise InvalidRequest(errors)


def add_webhook(
    conn: Connection,
    url: str,
    types: Sequence[str] | None = None,
    description: str | None = None,
    *,
    actor: Actor = UNNAMED,
) -> tuple[Webhook, str]:
    """Register one that was checked; its secret comes back this once. types: none for all.

    It is disabled when the actor's key is revoked or expires (a key of the environment does not).
    """
    secret = secrets.token_bytes(domain.SECRET_BYTES)
    with conn.transaction():
        id = storage.add(conn, url, description or None, types, secret, key_id=_owner(actor))
        found = find_webhook(conn, str(id))
        _audit(conn, actor, "webhook_added", id, after=_facts(found))
    _log("webhook_added", "Webhook registered", id)
    return found, domain.format_secret(secret)


def list_webhooks(conn: Connection) -> list[Webhook]:
    """All webhooks, oldest first."""
    return storage.find(conn)


def find_webhook(conn: Connection, id: str) -> Webhook:
    """One webhook. Raises WebhookNotFound."""
    found = storage.find(conn, _read_id(id))
    if not found:
        raise WebhookNotFound(id[:100])
    return found[0]


def change_webhook(conn: Connection, id: str, change: Change, *, actor: Actor = UNNAMED) -> Webhook:
    """Change one as was checked, disable it, or enable it again. Raises WebhookNotFound.

    One that is enabled belongs to the actor's key from then on.
    """
    number = _read_id(id)
    with conn.transaction():
        storage.lock(conn, number)
        before = find_webhook(conn, id)
        storage.change(
            conn,
            number,
            url=change.url,
            set_types=change.types is not None,
            types=change.types,
            set_description=change.description is not None,
            description=change.description or None,
            enabled=change.enabled,
            reason=BY_STAFF,
            key_id=_owner(actor),
        )
        after = find_webhook(conn, id)
        facts = {**_facts(after), "url_changed": after.url != before.url}
        _audit(conn, actor, "webhook_changed", number, before=_facts(before), after=facts)
    _log("webhook_changed", "Webhook changed", number)
    return after


def remove_webhook(conn: Connection, id: str, *, actor: Actor = UNNAMED) -> None:
    """Forget one, with the log of its deliveries. Raises WebhookNotFound."""
    number = _read_id(id)
    with conn.transaction():
        storage.lock(conn, number)
        before = find_webhook(conn, id)
        storage.remove(conn, number)
        _audit(conn, actor, "webhook_removed", number, before=_facts(before))
    _log("webhook_removed", "Webhook removed", number)


def rotate_secret(conn: Connection, id: str, *, actor: Actor = UNNAMED) -> tuple[Webhook, str]:
    """Give one another secret, which comes back this once; for a day both count.

    Raises WebhookNotFound.
    """
    number, secret = _read_id(id), secrets.token_bytes(domain.SECRET_BYTES)
    with conn.transaction():
        if not storage.rotate(conn, number, secret, BOTH_SECRETS):
            raise WebhookNotFound(id)
        _audit(conn, actor, "webhook_rotated", number)
    _log("webhook_rotated", "Webhook has another secret", number)
    return find_webhook(conn, id), domain.format_secret(secret)


def test_webhook(conn: Connection, id: str, *, actor: Actor = UNNAMED) -> WebhookDelivery:
    """Have an event of the type webhook.test delivered. Raises WebhookNotFound, WebhookDisabled."""
    event_id = uuid4()
    with conn.transaction():
        found = _enabled(conn, id)
        body = domain.payload(domain.TEST, datetime.now(UTC), {"event_id": str(event_id)})
        delivery = note(conn, found.id, event_id, type=domain.TEST, number=None, body=body)
        _audit(conn, actor, "webhook_tested", found.id)
        return _found(storage.delivery(conn, found.id, delivery), str(delivery))


def list_deliveries(
    conn: Connection, id: str, *, limit: int = LISTED, before: str | None = None
) -> list[WebhookDelivery]:
    """Deliveries of a webhook, newest first. before: the id of the last one of the page before.

    Raises WebhookNotFound, InvalidRequest.
    """
    if not 1 <= limit <= MOST_LISTED:
        message = f"must be a whole number from 1 to {MOST_LISTED}"
        raise InvalidRequest([FieldError("limit", message)])
    webhook = find_webhook(conn, id).id
    position = None
    if before is not None:
        try:
            position = _found(storage.delivery(conn, webhook, UUID(before)), before).position
        except (ValueError, WebhookDeliveryNotFound):
            raise InvalidRequest([FieldError("before", "is no delivery of this webhook")]) from None
    return storage.deliveries(conn, webhook, position, limit)


def retry_delivery(
    conn: Connection, id: str, delivery_id: str, *, actor: Actor = UNNAMED
) -> WebhookDelivery:
    """Make a delivery anew, at once, whatever has become of it. Its receiver may get it twice.

    Raises WebhookNotFound, WebhookDeliveryNotFound, WebhookDisabled.
    """
    try:
        delivery = UUID(delivery_id)
    except ValueError:
        raise WebhookDeliveryNotFound(delivery_id[:100]) from None
    message_id = uuid4()
    with conn.transaction():
        webhook = _enabled(conn, id).id
        if not storage.retry(conn, webhook, delivery, message_id):
            raise WebhookDeliveryNotFound(delivery_id)
        send(conn, delivery, message_id)
        _audit(conn, actor, "delivery_retried", webhook, after={"delivery": str(delivery)})
        return _found(storage.delivery(conn, webhook, delivery), delivery_id)


def _enabled(conn: Connection, id: str) -> Webhook:
    found = find_webhook(conn, id)
    if found.disabled_at is not None:
        raise WebhookDisabled(found.id)
    return found


def _found(delivery: WebhookDelivery | None, id: str) -> WebhookDelivery:
    if delivery is None:
        raise WebhookDeliveryNotFound(id[:100])
    return delivery


def _read_id(id: str) -> int:
    if id.isascii() and id.isdigit() and len(id) < 11 and int(id) <= _LARGEST_ID:
        return int(id)
    raise WebhookNotFound(id[:100])


def _url_error(policy: Policy, url: str) -> str | None:
    """What is wrong with a URL, or None. A name that cannot be looked up yet is no mistake."""
    try:
        target = parse_url(url, policy.schemes)
        if not policy.private:
            addresses = [target.address] if target.address else _addresses(target.host, target.port)
            refuse_private(target.host, addresses)
    except (InvalidUrl, TargetRefused) as refusal:
        return str(refusal) if isinstance(refusal, InvalidUrl) else f"must be public: {refusal}"
    return None


def _addresses(host: str, port: int) -> list[str]:
    try:
        return resolve(host, port, _LOOK_UP_S)
    except CallFailed:
        return []  # looked up again, and judged, whenever something is delivered


def _owner(actor: Actor) -> str | None:
    """The key to which a webhook belongs; none for a key of the environment, which has no row."""
    key_id = actor.key_id
    return None if key_id is None or key_id.startswith(ENVIRONMENT_PREFIX) else key_id


def _facts(webhook: Webhook) -> dict[str, object]:
    """What the audit log keeps of a webhook: of its URL the host, as the rest may be a secret."""
    return {
        "host": urlsplit(webhook.url).hostname, "types": webhook.types,
        "description": webhook.description, "enabled": webhook.disabled_at is None,
    }  # fmt: skip


def _audit(conn: Connection, actor: Actor, action: str, id: int, **facts: Any) -> None:
    audit_log.record(conn, actor, action, Subject("webhook", str(id)), **facts)


def _log(action: str, text: str, id: int) -> None:
    log.info(text, extra={"action": action, "details": {"webhook": id}})
