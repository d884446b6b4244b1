"""Notifications are filtered, shown once, logged, and given up with a reason."""

from __future__ import annotations

from typing import Any

import pytest

from pizza.database.connection import BoundedConnection
from pizza.notifications.handler import NotificationFilter, NotificationHandler, format_sentence
from pizza.orders.status_messages import StatusMessage, read_status_message
from pizza.taskqueue.errors import DuplicateEvent, PoisonMessage

from ..support.order_events import NUMBER, event, status


def subscriber(
    wanted: NotificationFilter = NotificationFilter(),  # noqa: B008
) -> tuple[NotificationHandler, list[StatusMessage]]:
    shown: list[StatusMessage] = []
    return NotificationHandler("desk", wanted, shown.append), shown


def rows(conn: BoundedConnection) -> list[tuple[Any, ...]]:
    return conn.execute(
        """select subscriber, order_number, status, attempts, outcome, reason
           from notification_delivery"""
    ).fetchall()


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (NotificationFilter(), True),
        (NotificationFilter(customer="john doe"), True),
        (NotificationFilter(customer="jane"), False),
        (NotificationFilter(types=("cooking",)), True),
        (NotificationFilter(types=("ready", "delivered")), False),
        (NotificationFilter("john doe", ("ready",)), False),
    ],
)
def test_only_notifications_of_the_filter_are_shown_and_logged(
    conn: BoundedConnection, wanted: NotificationFilter, fits: bool
) -> None:
    deliveries, shown = subscriber(wanted)
    deliveries.handle(event(status(2, customer_name="  JOHN  doe")), conn)

    assert len(shown) == len(rows(conn)) == fits


def test_a_message_without_a_customer_is_for_nobody_in_particular() -> None:
    body = status(1)
    del body["customer_name"]
    for wanted, count in ((NotificationFilter(customer="john doe"), 0), (NotificationFilter(), 1)):
        deliveries, shown = subscriber(wanted)
        deliveries.handle(event(body), None)
        assert len(shown) == count


@pytest.mark.parametrize("database", [True, False])
def test_each_notification_is_shown_once(conn: BoundedConnection, database: bool) -> None:
    deliveries, shown = subscriber()
    once = event(status(2))
    deliveries.handle(once, conn if database else None)
    with pytest.raises(DuplicateEvent):
        deliveries.handle(once, conn if database else None)

    assert len(shown) == 1
    assert rows(conn) == [("desk", NUMBER, "cooking", 1, "delivered", None)] * database


def test_another_life_of_the_subscriber_knows_what_was_shown(conn: BoundedConnection) -> None:
    once = event(status(2))
    subscriber()[0].handle(once, conn)
    deliveries, shown = subscriber()
    with pytest.raises(DuplicateEvent):
        deliveries.handle(once, conn)
    assert shown == []


def test_what_was_shown_and_not_logged_is_not_shown_again(conn: BoundedConnection) -> None:
    deliveries, shown = subscriber()
    once = event(status(2))
    with pytest.raises(OSError), conn.transaction():
        deliveries.handle(once, conn)
        raise OSError("the database goes away before the commit")
    deliveries.handle(once, conn)
    assert len(shown) == len(rows(conn)) == 1


def test_a_failed_delivery_is_logged_when_it_is_given_up(conn: BoundedConnection) -> None:
    def fail(_message: StatusMessage) -> None:
        raise OSError("nobody at home")

    deliveries = NotificationHandler("desk", NotificationFilter(), fail)
    last = event(status(2), attempt=3)
    with pytest.raises(OSError, match="nobody"), conn.transaction():
        deliveries.handle(last, conn)
    assert rows(conn) == []
    deliveries.on_dead_letter(last, "OSError: nobody at home", conn)
    assert rows(conn) == [("desk", NUMBER, "cooking", 3, "dead", "OSError: nobody at home")]
    # A message that is no notification has no row
    deliveries.on_dead_letter(event({}), "bad", conn)
    deliveries.on_dead_letter(last, "bad", None)
    assert len(rows(conn)) == 1
    with pytest.raises(PoisonMessage):
        deliveries.handle(event({}), conn)


def test_the_sentence() -> None:
    assert format_sentence(read_status_message(status(2), None)) == (
        f"Notification for order {NUMBER}: "
        "status changed from 'received' to 'cooking' by chef_mario"
    )
    same = read_status_message(status(2, "received"), None)
    assert format_sentence(same).endswith("status is still 'received', changed by chef_mario")
    later = read_status_message(status(None, "received"), None)
    assert format_sentence(later).endswith("status is still 'received', ready about 10:42:00 UTC")
    first = status(1, "received", old_status=None, changed_by="order-service")
    assert format_sentence(read_status_message(first, None)) == (
        f"Notification for order {NUMBER}: status is 'received', by order-service"
    )
