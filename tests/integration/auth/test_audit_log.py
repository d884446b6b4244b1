"""The audit log: an entry for each kind of change, in its transaction, which never changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from pizza.audit import audit_log, storage
from pizza.audit.audit_log import Subject
from pizza.audit.storage import AuditEntry
from pizza.auth import keys, sessions
from pizza.auth import storage as auth
from pizza.customers import profiles
from pizza.database.connection import BoundedConnection
from pizza.domain.actor import Actor
from pizza.domain.errors import DishNotFound, InvalidRequest
from pizza.domain.roles import MANAGER
from pizza.kitchen import control
from pizza.kitchen import storage as kitchen
from pizza.menu import dishes
from pizza.menu import storage as menu
from pizza.operations import dead_letters
from pizza.webhooks import storage as webhook_storage
from pizza.webhooks import webhooks
from pizza.webhooks.webhooks import WebhookPatch

ANNA = Actor("Anna", MANAGER, "0a1b2c3d", "203.0.113.7")
URL = "https://hooks.example/T0/secret-of-the-address"
OLD = (
    "insert into audit_log (at, actor, action, object_kind, source)"
    " values (now() - interval '{} days', 'a', 'b', 'c', '')"
)
Do = Callable[[BoundedConnection], Any]


def newest(conn: BoundedConnection) -> AuditEntry:
    return audit_log.list_entries(conn, limit=1)[0]


def hook(conn: BoundedConnection) -> str:
    return str(webhooks.add_webhook(conn, URL, actor=ANNA)[0].id)


def dead(conn: BoundedConnection) -> str:
    row = conn.execute(
        "insert into dead_message (id, died_at, task, queue, body, attempts, runs, reason)"
        " values (gen_random_uuid(), now(), 'bake', 'bakery', '{\"for\": \"Jane Roe\"}', 3, 3, 'x')"
        " returning id::text"
    ).fetchone()
    assert row is not None
    return str(row[0])


def add_dish(conn: BoundedConnection, price: str = "9.50") -> None:
    dishes.add_dish(conn, "Calzone", "pizza", Decimal(price), actor=ANNA)


def add_key(conn: BoundedConnection) -> str:
    return keys.add_key(conn, "Bert", actor=ANNA)[0].id


CHANGES: dict[str, tuple[Do, str]] = {
    "dish_added": (add_dish, "dish Calzone"),
    "dish_changed": (lambda c: (add_dish(c), add_dish(c, "11")), "dish Calzone"),
    "dish_removed": (
        lambda c: (add_dish(c), dishes.remove_dish(c, "calzone", actor=ANNA)),
        "dish Calzone",
    ),
    "vip_changed": (lambda c: profiles.set_vip(c, "Jane Roe", True, actor=ANNA), "customer *"),
    "kitchen_paused": (lambda c: control.pause_kitchen(c, reason="cold", actor=ANNA), "kitchen"),
    "kitchen_resumed": (lambda c: control.resume_kitchen(c, actor=ANNA), "kitchen"),
    "max_concurrent_set": (lambda c: control.set_max_concurrent(c, 7, actor=ANNA), "kitchen"),
    "webhook_added": (hook, "webhook *"),
    "webhook_changed": (
        lambda c: webhooks.change_webhook(c, hook(c), WebhookPatch(enabled=False), actor=ANNA),
        "webhook *",
    ),
    "webhook_removed": (lambda c: webhooks.remove_webhook(c, hook(c), actor=ANNA), "webhook *"),
    "webhook_rotated": (lambda c: webhooks.rotate_secret(c, hook(c), actor=ANNA), "webhook *"),
    "webhook_tested": (lambda c: webhooks.test_webhook(c, hook(c), actor=ANNA), "webhook *"),
    "key_added": (add_key, "key *"),
    "key_revoked": (lambda c: keys.revoke_key(c, add_key(c), actor=ANNA), "key *"),
    "logged_in": (
        lambda c: sessions.create_session(c, "cookie", ANNA, idle=timedelta(hours=1), agent=""),
        "session *",
    ),
    "session_ended": (
        lambda c: (
            sessions.create_session(c, "cookie", ANNA, idle=timedelta(hours=1), agent=""),
            sessions.end_session(c, sessions.session_id("cookie"), actor=ANNA),
        ),
        "session *",
    ),
    "dead_letter_retried": (lambda c: dead_letters.retry(c, dead(c), ANNA), "dead letter *"),
    "dead_letter_dropped": (lambda c: dead_letters.drop(c, None, ANNA), "dead letter *"),
}


@pytest.mark.parametrize("action", CHANGES)
def test_each_kind_of_change_is_recorded_with_actor_action_and_address(
    conn: BoundedConnection, action: str
) -> None:
    change, about = CHANGES[action]
    change(conn)

    entry = newest(conn)
    kind, _, id = about.partition(" ") if not about.startswith("dead") else ("dead letter", "", "*")
    assert (entry.action, entry.object_kind) == (action, kind)
    assert id == "*" or entry.object_id == id
    assert (entry.actor, entry.key_id, entry.role, entry.source) == (
        "Anna",
        "0a1b2c3d",
        MANAGER,
        "203.0.113.7",
    )
    text = str(conn.execute("select a::text from audit_log a").fetchall()).lower()
    for never in ("jane", "roe", "secret", "whsec", "pizza_", "cookie"):
        assert never not in text


def test_an_entry_has_the_state_before_and_after(conn: BoundedConnection) -> None:
    add_dish(conn)
    dishes.set_sold_out(conn, "CALZONE", True, actor=ANNA)
    entry = newest(conn)
    dish = {"name": "Calzone", "tag": "pizza", "price": "9.50"}
    assert entry.before == {**dish, "sold_out": False}
    assert entry.after == {**dish, "sold_out": True}

    profiles.set_vip(conn, "Jane Roe", True, by="Anna", actor=ANNA)
    entry = newest(conn)
    assert (entry.before, entry.after) == ({"vip": False}, {"vip": True})


def test_a_change_that_fails_has_no_entry_and_without_an_entry_there_is_no_change(
    conn: BoundedConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DishNotFound):
        dishes.set_sold_out(conn, "nothing of ours", True, actor=ANNA)
    assert audit_log.list_entries(conn) == []

    def fail(*_: object, **__: object) -> None:
        raise psycopg.errors.InsufficientPrivilege("says the test")

    monkeypatch.setattr(storage, "insert_entry", fail)
    for change in (add_dish, hook, add_key, lambda c: control.pause_kitchen(c, actor=ANNA)):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            change(conn)
    assert "Calzone" not in [dish.name for dish in menu.list_dishes(conn)]
    assert webhook_storage.list_webhooks(conn) == [] and auth.list_keys(conn) == []
    assert not kitchen.get_state(conn).paused


@pytest.mark.parametrize(
    "statement",
    [
        "update audit_log set actor = 'x'",
        "delete from audit_log",
        "truncate audit_log",
        "set pizza.audit_prune = 'on'; delete from audit_log",
    ],
)
def test_no_entry_can_be_changed_or_dropped(conn: BoundedConnection, statement: str) -> None:
    add_dish(conn)
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
        conn.execute(statement.encode())
    assert len(audit_log.list_entries(conn)) == 1
    conn.execute("reset pizza.audit_prune")


def test_only_entries_older_than_the_retention_are_pruned(conn: BoundedConnection) -> None:
    for days in (800, 700, 31, 29):
        conn.execute(OLD.format(days).encode())

    assert storage.prune_entries(conn, timedelta(days=730), 500) == 1
    assert storage.prune_entries(conn, timedelta(days=1), 1) == 1
    assert storage.prune_entries(conn, timedelta(days=1), 500) == 1
    assert storage.prune_entries(conn, timedelta(), 500) == 0
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("delete from audit_log")


def test_the_audit_log_is_filtered_and_paged(conn: BoundedConnection) -> None:
    bert = Actor("Bert", MANAGER, "ffffffff", "198.51.100.9")
    add_dish(conn)
    profiles.set_vip(conn, "Jane Roe", True, actor=bert)
    profiles.set_vip(conn, "John Doe", True, actor=bert)
    control.pause_kitchen(conn, by="carla")

    def found(**asked: Any) -> list[str]:
        return [each.action for each in audit_log.list_entries(conn, **asked)]

    everything = ["kitchen_paused", "vip_changed", "vip_changed", "dish_added"]
    assert found() == found(actor="", about="") == everything
    assert found(actor="Bert") == found(action="vip_changed") == ["vip_changed"] * 2
    assert found(actor="carla") == found(about="kitchen") == ["kitchen_paused"]
    assert found(about="customer  jane  ROE") == ["vip_changed"]
    assert found(about="dish Calzone") == ["dish_added"]
    first, *_ = audit_log.list_entries(conn, limit=2)
    assert found(before=first.id, limit=1) == ["vip_changed"]
    assert found(since=first.at) == ["kitchen_paused"]
    for bad in ({"limit": 0}, {"limit": 1001}, {"actor": "\0"}):
        with pytest.raises(InvalidRequest):
            found(**bad)


def test_a_read_that_cannot_be_recorded_is_logged_and_answered(
    conn: BoundedConnection, caplog: pytest.LogCaptureFixture
) -> None:
    conn.execute("set default_transaction_read_only = on")
    assert not audit_log.record_read(conn, ANNA, "order_read", Subject("order", "ORD_20241216_001"))
    conn.execute("reset default_transaction_read_only")
    (record,) = caplog.records
    assert record.action == "audit_failed"  # type: ignore[attr-defined]
