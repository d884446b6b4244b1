"""Use cases of webhooks: register, change, test, remove; list and retry deliveries."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from pizza.audit import Subject, record_change
from pizza.auth import ENVIRONMENT_PREFIX
from pizza.database.connection import Connection
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
from pizza.domain.webhooks import HTTPS, InvalidUrl, parse_url
from pizza.taskqueue.logs import log_action
from pizza.webhooks import storage
from pizza.webhooks.client import BlockedAddress, DeliveryError, check_public, resolve
from pizza.webhooks.events import create_delivery, enqueue_delivery
from pizza.webhooks.storage import Webhook, WebhookDelivery, WebhookPatch

log = logging.getLogger(__name__)

DESCRIPTION_LENGTH = 200
LISTED, MOST_LISTED = 50, 500
BY_STAFF = "by staff"
# After a rotation deliveries are signed with both secrets for this time.
SECRET_OVERLAP = timedelta(days=1)
_LOOK_UP_S = 1.0
_LARGEST_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class UrlPolicy:
    """The URLs that webhooks may have. allow_private: also addresses that are not public."""

    schemes: Sequence[str] = (HTTPS,)
    allow_private: bool = False


def validate_patch(policy: UrlPolicy, patch: WebhookPatch) -> None:
    """Validate the fields of a new or changed webhook. Resolves names, for up to a second.

    Raises InvalidRequest, also for a URL that resolves to an address that is not public.
    """
    errors = []
    if patch.url is not None and (message := _url_error(policy, patch.url)):
        errors.append(FieldError("url", message))
    if unknown := [each for each in patch.types or () if each not in domain.TYPES]:
        known = ", ".join(domain.TYPES)
        errors.append(FieldError("types", f"knows {known}, not {unknown[0][:100]!r}"))
    if patch.description and (message := text_error(patch.description, DESCRIPTION_LENGTH)):
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
    """Register a validated webhook; returns it and its secret. types: none for all.

    It is disabled when the actor's key is revoked or expires (keys of the environment do not).
    """
    secret = secrets.token_bytes(domain.SECRET_BYTES)
    with conn.transaction():
        id = storage.insert_webhook(
            conn,
            url=url,
            description=description or None,
            types=list(types) if types else None,
            secret=secret,
            key=_owner(actor),
        )
        found = find_webhook(conn, str(id))
        _audit(conn, actor, "webhook_added", id, after=_facts(found))
    log_action(log.info, "webhook_added", "Webhook registered", {"webhook": id})
    return found, domain.format_secret(secret)


def find_webhook(conn: Connection, id: str) -> Webhook:
    """One webhook. Raises WebhookNotFound."""
    found = storage.list_webhooks(conn, _parse_id(id))
    if not found:
        raise WebhookNotFound(id[:100])
    return found[0]


def change_webhook(
    conn: Connection, id: str, patch: WebhookPatch, *, actor: Actor = UNNAMED
) -> Webhook:
    """Apply a validated patch. Raises WebhookNotFound.

    Enabling makes the actor's key the owner.
    """
    number = _parse_id(id)
    with conn.transaction():
        storage.lock_webhook(conn, number)
        before = find_webhook(conn, id)
        storage.update_webhook(conn, number, patch, reason=BY_STAFF, key_id=_owner(actor))
        after = find_webhook(conn, id)
        facts = {**_facts(after), "url_changed": after.url != before.url}
        _audit(conn, actor, "webhook_changed", number, before=_facts(before), after=facts)
    log_action(log.info, "webhook_changed", "Webhook changed", {"webhook": number})
    return after


def remove_webhook(conn: Connection, id: str, *, actor: Actor = UNNAMED) -> None:
    """Delete a webhook and its deliveries. Raises WebhookNotFound."""
    number = _parse_id(id)
    with conn.transaction():
        storage.lock_webhook(conn, number)
        before = find_webhook(conn, id)
        storage.delete_webhook(conn, number)
        _audit(conn, actor, "webhook_removed", number, before=_facts(before))
    log_action(log.info, "webhook_removed", "Webhook removed", {"webhook": number})


def rotate_secret(conn: Connection, id: str, *, actor: Actor = UNNAMED) -> tuple[Webhook, str]:
    """Set a new secret; returns the webhook and the secret. The previous one is used for a day.

    Raises WebhookNotFound.
    """
    number, secret = _parse_id(id), secrets.token_bytes(domain.SECRET_BYTES)
    with conn.transaction():
        if not storage.rotate_secret(conn, number, secret, SECRET_OVERLAP):
            raise WebhookNotFound(id)
        _audit(conn, actor, "webhook_rotated", number)
    log_action(log.info, "webhook_rotated", "Webhook has another secret", {"webhook": number})
    return find_webhook(conn, id), domain.format_secret(secret)


def test_webhook(conn: Connection, id: str, *, actor: Actor = UNNAMED) -> WebhookDelivery:
    """Create a delivery of type webhook.test. Raises WebhookNotFound, WebhookDisabled."""
    event_id = uuid4()
    with conn.transaction():
        found = _find_enabled(conn, id)
        body = domain.payload(domain.TEST, datetime.now(UTC), {"event_id": str(event_id)})
        delivery = create_delivery(
            conn, found.id, event_id, type=domain.TEST, number=None, body=body
        )
        _audit(conn, actor, "webhook_tested", found.id)
        return storage.find_delivery(conn, found.id, delivery)


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
            position = storage.find_delivery(conn, webhook, UUID(before)).position
        except (ValueError, WebhookDeliveryNotFound):
            raise InvalidRequest([FieldError("before", "is no delivery of this webhook")]) from None
    return storage.list_deliveries(conn, webhook, position, limit)


def retry_delivery(
    conn: Connection, id: str, delivery_id: str, *, actor: Actor = UNNAMED
) -> WebhookDelivery:
    """Requeue a delivery at once, in any state. The receiver may receive it twice.

    Raises WebhookNotFound, WebhookDeliveryNotFound, WebhookDisabled.
    """
    try:
        delivery = UUID(delivery_id)
    except ValueError:
        raise WebhookDeliveryNotFound(delivery_id[:100]) from None
    message_id = uuid4()
    with conn.transaction():
        webhook = _find_enabled(conn, id).id
        if not storage.requeue_delivery(conn, webhook, delivery, message_id):
            raise WebhookDeliveryNotFound(delivery_id)
        enqueue_delivery(conn, delivery, message_id)
        _audit(conn, actor, "delivery_retried", webhook, after={"delivery": str(delivery)})
        return storage.find_delivery(conn, webhook, delivery)


def _find_enabled(conn: Connection, id: str) -> Webhook:
    found = find_webhook(conn, id)
    if not found.enabled:
        raise WebhookDisabled(found.id)
    return found


def _parse_id(id: str) -> int:
    if id.isascii() and id.isdigit() and len(id) < 11 and int(id) <= _LARGEST_ID:
        return int(id)
    raise WebhookNotFound(id[:100])


def _url_error(policy: UrlPolicy, url: str) -> str | None:
    """Say what is wrong with a URL, or None. A name that does not resolve is no error."""
    try:
        target = parse_url(url, policy.schemes)
        if not policy.allow_private:
            addresses = [target.address] if target.address else _addresses(target.host, target.port)
            check_public(target.host, addresses)
    except (InvalidUrl, BlockedAddress) as refusal:
        return str(refusal) if isinstance(refusal, InvalidUrl) else f"must be public: {refusal}"
    return None


def _addresses(host: str, port: int) -> list[str]:
    try:
        return resolve(host, port, _LOOK_UP_S)
    except DeliveryError:
        return []  # resolved and checked again at each delivery


def _owner(actor: Actor) -> str | None:
    """The key that owns a webhook; None for a key of the environment, which has no row."""
    key_id = actor.key_id
    return None if key_id is None or key_id.startswith(ENVIRONMENT_PREFIX) else key_id


def _facts(webhook: Webhook) -> dict[str, object]:
    """The fields for the audit log; of the URL only the host, as the rest may be a secret."""
    return {
        "host": urlsplit(webhook.url).hostname,
        "types": webhook.types,
        "description": webhook.description,
        "enabled": webhook.enabled,
    }


def _audit(conn: Connection, actor: Actor, action: str, id: int, **facts: Any) -> None:
    record_change(conn, actor, action, Subject("webhook", str(id)), **facts)
