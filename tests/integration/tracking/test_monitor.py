"""Stuck orders and dead workers are logged once, and once more when it is over."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from pizza.database.connection import BoundedConnection, connect
from pizza.kitchen import worker_storage
from pizza.kitchen.worker_storage import WorkerProfile
from pizza.tracking.monitor import OrderMonitor
from pizza.tracking.recorder import on_notification

from ...support.order_events import event, place
from ...support.waiting import wait_until

CheckOnce = Callable[[], list[tuple[str, str, str | None]]]


@pytest.fixture
def check_once(conn: BoundedConnection, db_url: str, caplog: pytest.LogCaptureFixture) -> CheckOnce:
    """Runs one check; returns level, action and order number of each log line."""
    watch = OrderMonitor(db_url, factor=3, interval=1, name="watch")
    caplog.set_level(logging.INFO, "pizza")

    def once() -> list[tuple[str, str, str | None]]:
        caplog.clear()
        watch.check(conn)
        return [
            (r.levelname, r.action, getattr(r, "order_number", None))  # type: ignore[attr-defined]
            for r in caplog.records
        ]

    return once


def age(conn: BoundedConnection, number: str, seconds: float, estimate: float = 10) -> None:
    """Let an order be so old, and its estimate so long."""
    conn.execute(
        """insert into tracking_order
           values (%(n)s::varchar, 1, (select status from orders where number = %(n)s),
                   now() - %(s)s * interval '1 second',
                   now() + (%(e)s - %(s)s) * interval '1 second')
           on conflict (order_number) do update
           set status = excluded.status, since = excluded.since, promised = excluded.promised""",
        {"s": seconds, "e": estimate, "n": number},
    )
    conn.execute(
        """update orders set created_at = now() - %(s)s * interval '1 second',
               started_at = case when status = 'cooking'
                            then now() - %(s)s * interval '1 second' end,
               estimated_completion = now() + (%(e)s - %(s)s) * interval '1 second'
           where number = %(n)s""",
        {"s": seconds, "e": estimate, "n": number},
    )


def test_a_waiting_order_is_stuck_past_three_times_its_estimate(
    conn: BoundedConnection, check_once: CheckOnce
) -> None:
    number = place(conn)
    age(conn, number, 29)
    assert check_once() == []
    age(conn, number, 31)
    assert check_once() == [("WARNING", "order_stuck", number)]
    assert check_once() == [], "once is enough"


def test_a_stuck_cooking_order_is_reported_and_so_is_its_end(
    conn: BoundedConnection, check_once: CheckOnce
) -> None:
    number = place(conn)
    age(conn, number, 31)
    assert check_once() == [("WARNING", "order_stuck", number)]
    conn.execute("update orders set status = 'cooking', started_at = now()")
    assert check_once() == [("INFO", "order_recovered", number)]
    age(conn, number, 31)
    assert check_once() == [("WARNING", "order_stuck", number)], "another status, another stay"
    conn.execute("update orders set status = 'ready'")
    assert check_once() == [("INFO", "order_recovered", number)]
    assert check_once() == []
    # And when quality sends it back
    conn.execute("update orders set status = 'cooking', started_at = now()")
    age(conn, number, 31)
    assert check_once() == [("WARNING", "order_stuck", number)]


def test_a_short_estimate_has_a_few_seconds_grace(
    conn: BoundedConnection, check_once: CheckOnce
) -> None:
    number = place(conn)
    age(conn, number, 2.5, estimate=0)
    assert check_once() == []
    age(conn, number, 3.5, estimate=0)
    assert check_once() == [("WARNING", "order_stuck", number)]


def test_two_monitors_report_once(
    conn: BoundedConnection, db_url: str, check_once: CheckOnce
) -> None:
    number = place(conn)
    age(conn, number, 31)
    OrderMonitor(db_url, factor=3, interval=1, name="other").check(conn)
    assert check_once() == []


def test_a_worker_that_is_gone_and_back(
    conn: BoundedConnection, db_url: str, check_once: CheckOnce
) -> None:
    with connect(db_url, name="mario") as mario:
        assert (
            worker_storage.register_worker(mario, "mario", WorkerProfile("cook", "kitchen"), 10)
            == "registered"
        )
        assert check_once() == []
    gone = wait_until(check_once, 5, "its session has ended")
    assert gone == [("WARNING", "worker_offline", None)]
    assert check_once() == []
    with connect(db_url, name="mario") as mario:
        assert (
            worker_storage.register_worker(mario, "mario", WorkerProfile("cook", "kitchen"), 10)
            == "registered"
        )
        assert check_once() == [("INFO", "worker_online", None)]
        worker_storage.unregister_worker(mario, "mario")
    assert check_once() == [], "he has gone home in good order"


def test_an_estimate_that_moves_far_is_stored_and_notified(
    conn: BoundedConnection, check_once: CheckOnce
) -> None:
    number = place(conn)
    age(conn, number, 0, estimate=30)
    assert check_once() == []

    def expect_in(seconds: float) -> None:
        conn.execute(
            "update orders set estimated_completion = now() + %s * interval '1 second'", (seconds,)
        )

    expect_in(34)
    assert check_once() == [], "a few seconds are no news"
    for seconds in (55, 20):
        expect_in(seconds)
        assert check_once() == [("INFO", "estimate_moved", number)]
        assert check_once() == [], "once is enough"
        assert conn.execute(
            """select t.estimated = o.estimated_completion,
                      t.promised < now() + interval '31 seconds'
               from tracking_order t join orders o on o.number = t.order_number"""
        ).fetchone() == (True, True), "what was promised when it came stays"
    conn.execute("update orders set status = 'cooking', started_at = now()")
    expect_in(200)
    assert check_once() == [], "its cook tells now"


def test_a_customer_is_notified_when_the_estimate_is_far_from_the_last_notified_one(
    conn: BoundedConnection, check_once: CheckOnce
) -> None:
    number = place(conn)
    age(conn, number, 0, estimate=60)

    def news(seconds: float) -> list[tuple[str | None, str | None, object]]:
        conn.execute("delete from message")
        conn.execute(
            "update orders set estimated_completion = now() + %s * interval '1 second'", (seconds,)
        )
        check_once()
        sent = "select convert_from(body, 'UTF8')::json from message where routing_key = %s"
        bodies = [row[0] for row in conn.execute(sent, ("order.received",)).fetchall()]
        return [(each["old_status"], each["new_status"], each["sequence"]) for each in bodies]

    # A little later, twice: nothing; then it is far from what the guest knows
    assert news(80) == news(88) == []
    assert news(100) == [("received", "received", None)]
    # Once is enough, and the next is measured from there
    assert news(101) == news(80) == []
    assert news(60) == [("received", "received", None)]
    # It does not change the order, and its cook continues
    assert conn.execute("select version from orders").fetchall() == [(1,)]
    conn.execute("update orders set status = 'cooking', started_at = now()")
    assert news(300) == []


def test_a_notification_of_another_time_is_kept_by_tracking_and_is_no_gap(
    conn: BoundedConnection, check_once: CheckOnce
) -> None:
    number = place(conn)
    age(conn, number, 0, estimate=60)
    conn.execute("update orders set estimated_completion = now() + interval '10 minutes'")
    check_once()
    id, body = conn.execute(
        "select id, convert_from(body, 'UTF8')::json from message"
        " where routing_key = 'order.received' order by position desc limit 1"
    ).fetchone()  # type: ignore[misc]

    on_notification(event(body, id=str(id)), conn)()  # type: ignore[misc]

    known = "select sequence, old_status, new_status from tracking_event where event_id = %s"
    assert conn.execute(known, (id,)).fetchall() == [(None, "received", "received")]
    assert conn.execute("select count(*) from tracking_gap").fetchone() == (0,)
