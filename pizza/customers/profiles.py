"""Profiles of customers, and who is a VIP.

A change has an entry in the audit log, in its transaction.
"""

from __future__ import annotations

import logging

from pizza.audit import customer_subject, record_change
from pizza.customers import storage
from pizza.customers.storage import Customer
from pizza.database.connection import Connection
from pizza.domain.actor import UNNAMED, Actor, check_signature
from pizza.domain.errors import CustomerNotFound, FieldError, InvalidRequest
from pizza.domain.names import is_storable, name_error
from pizza.operations import fold_names
from pizza.taskqueue.logs import log_action

log = logging.getLogger(__name__)


def customer(conn: Connection, name: str) -> Customer:
    """A customer's profile. Raises CustomerNotFound."""
    if not is_storable(name):
        raise CustomerNotFound(name[:100])
    fold_names(conn)
    return storage.find_customer(conn, name)


def set_vip(
    conn: Connection, name: str, vip: bool, *, by: str | None = None, actor: Actor = UNNAMED
) -> Customer:
    """Set whether a customer is a VIP, also for one without an order. Raises InvalidRequest."""
    check_signature(by=by)
    if message := name_error(name):
        raise InvalidRequest([FieldError("name", message)])
    fold_names(conn)
    with conn.transaction():
        before = storage.lock_vip(conn, name)
        storage.set_vip(conn, name, vip, actor.signature(by))
        record_change(
            conn,
            actor.called(by),
            "vip_changed",
            customer_subject(conn, name),
            before={"vip": before},
            after={"vip": vip},
        )
    text = f"Customer is {'a' if vip else 'no'} VIP"
    log_action(log.info, "customer_changed", text, {"customer_name": name})
    return storage.find_customer(conn, name)
