"""Transactions lock the same rows in one order (sql/restaurant/functions/stations.sql).

Each test stops the transactions where they would wait for each other if they did not.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from pizza.database.connection import BoundedConnection, connect
from pizza.domain.order import OrderDraft, OrderItem
from pizza.domain.status import STAFF
from pizza.kitchen import storage as kitchen
from pizza.orders import actions, orders, set_capacity
from pizza.orders import storage as stored
from pizza.webhooks import storage, webhooks
from pizza.webhooks.events import create_delivery
from pizza.webhooks.storage import DeliveryAttempt

from ...support.waiting import wait_until

LOCK_MESSAGE = "select from message where id = %s for no key update"
BLOCKED = "select exists (select from pg_locks where pid = %s and not granted)"


@dataclass
class Sessions:
    """Connections by name, and what runs on them in the background."""

    db_url: str
    closing: ExitStack
    watcher: BoundedConnection

    def __post_init__(self) -> None:
        self._pool = self.closing.enter_context(ThreadPoolExecutor(4))

    def open(self, name: str) -> BoundedConnection:
        return self.closing.enter_context(connect(self.db_url, name=name))

    def start(self, conn: BoundedConnection, step: Any, *values: Any, **more: Any) -> Future[Any]:
        """Run a step in the background, as far as the lock that it has to wait for."""
        pid = conn.info.backend_pid
        running = self._pool.submit(step, conn, *values, **more)

        def waits() -> bool:
            row = self.watcher.execute(BLOCKED, [pid]).fetchone()
            return row == (True,) or running.done()

        wait_until(waits, 10, f"{conn.info.get_parameters()['application_name']} waits for a lock")
        assert not running.done(), running.result()
        return running


@pytest.fixture
def sessions(conn: BoundedConnection, db_url: str) -> Iterator[Sessions]:
    with ExitStack() as closing:
        yield Sessions(db_url, closing, conn)


@pytest.fixture
def webhook(conn: BoundedConnection) -> int:
    return storage.insert_webhook(
        conn, url="https://example.com", description=None, types=None, secret=b"secret", key=None
    )


@pytest.fixture
def delivery(conn: BoundedConnection, webhook: int) -> UUID:
    """A delivery that waits for its task; its message has the same id."""
    return create_delivery(conn, webhook, uuid4(), type="webhook.test", number=None, body="{}")


def complete(conn: BoundedConnection, webhook: int, delivery: UUID) -> None:
    """What ends a task that has delivered, with its message locked."""
    storage.record_success(conn, DeliveryAttempt(webhook, delivery, delivery, 0.1, answer=200))
    conn.execute("delete from message where id = %s", [delivery])


def test_a_delivery_ends_while_staff_has_it_made_again(
    conn: BoundedConnection, sessions: Sessions, webhook: int, delivery: UUID
) -> None:
    worker, staff = sessions.open("worker"), sessions.open("staff")
    with worker.transaction():
        worker.execute(LOCK_MESSAGE, [delivery])
        retry = sessions.start(staff, webhooks.retry_delivery, str(webhook), str(delivery))
        complete(worker, webhook, delivery)
    assert (retry.result(30).state, retry.result().attempts) == ("waiting", 0)
    (again,) = conn.execute("select id from message where task is not null").fetchone()
    assert conn.execute("select message_id from webhook_delivery").fetchall() == [(again,)]
    assert again != delivery


def test_a_delivery_is_made_again_by_two_at_once(
    conn: BoundedConnection, sessions: Sessions, webhook: int, delivery: UUID
) -> None:
    worker, one, two = (sessions.open(name) for name in ("worker", "one", "two"))
    with worker.transaction():
        worker.execute(LOCK_MESSAGE, [delivery])
        retries = [
            sessions.start(staff, webhooks.retry_delivery, str(webhook), str(delivery))
            for staff in (one, two)
        ]
    assert [retry.result(30).state for retry in retries] == ["waiting", "waiting"]
    (left,) = conn.execute("select id from message where task is not null").fetchall()
    assert conn.execute("select message_id from webhook_delivery").fetchall() == [left]


def test_a_delivery_ends_while_staff_removes_its_webhook(
    conn: BoundedConnection, sessions: Sessions, webhook: int, delivery: UUID
) -> None:
    other, worker, staff = (sessions.open(name) for name in ("other", "worker", "staff"))
    with other.transaction():
        other.execute("select from webhook where id = %s for no key update", [webhook])
        removal = sessions.start(staff, webhooks.remove_webhook, str(webhook))
        end = sessions.start(worker, complete, webhook, delivery)
    removal.result(30)
    end.result(30)
    assert conn.execute("select count(*) from webhook_delivery").fetchone() == (0,)


@pytest.mark.parametrize(
    "act",
    [
        lambda conn, number: actions.transition_order(
            conn, number, "cancelled", by="staff", role=STAFF, reason="burnt"
        ),
        lambda conn, number: stored.set_priority(conn, number, 1, 10, by="staff", notes="late"),
    ],
    ids=["moved", "prioritised"],
)
def test_an_order_moves_to_another_station_while_staff_changes_it(
    conn: BoundedConnection, sessions: Sessions, act: Any
) -> None:
    set_capacity(conn, 50)
    kitchen.set_stations(conn, ["quality", "packaging"])
    draft = OrderDraft(customer_name="Jo", items=(OrderItem("Pizza", 1, Decimal(9)),))
    number = orders.place_order(conn, draft).number
    first, second = uuid4(), uuid4()
    conn.execute("delete from message")
    for task, stage in ((first, "quality"), (second, "packaging")):
        conn.execute("select outbox_enqueue_task(%s, 'x', 'q', '', 'q', 1, '')", [task])
        if task == first:
            conn.execute(
                "update orders set status = 'ready', stage = %s, task_id = %s", [stage, task]
            )
    quality, packaging, staff = (sessions.open(name) for name in ("quality", "packaging", "staff"))
    with packaging.transaction():
        packaging.execute(LOCK_MESSAGE, [second])
        with quality.transaction():
            quality.execute(LOCK_MESSAGE, [first])
            acting = sessions.start(staff, act, number)
            # As station_finish_work leaves it: another message, and the same version.
            conn.execute("update orders set stage = 'packaging', task_id = %s", [second])
        waits = lambda: conn.execute(BLOCKED, [staff.info.backend_pid]).fetchone() == (True,)  # noqa: E731
        held_by = "select %s = any(pg_blocking_pids(%s))"
        pids = [packaging.info.backend_pid, staff.info.backend_pid]
        wait_until(
            lambda: waits() and conn.execute(held_by, pids).fetchone() == (True,),
            10,
            "staff waits for packaging",
        )
        packaging.execute("select from orders where number = %s for no key update", [number])
    acting.result(30)
