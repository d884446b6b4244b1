"""`/metrics` as Prometheus's own parser reads it, against what the database holds."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from pizza.config.settings import Settings
from pizza.database.connection import BoundedConnection, connect
from pizza.database.errors import DatabaseUnavailable
from pizza.database.queries import Queries
from pizza.kitchen import worker_storage
from pizza.kitchen.worker_storage import WorkerProfile
from pizza.tracking import storage as tracking
from pizza.web.app import create_app
from pizza.web.dependencies import Dependencies

from ...support.order_events import status_message
from ...support.waiting import wait_until
from .conftest import Cook, Place


def scrape(client: FlaskClient) -> dict[str, list[tuple[dict[str, str], float]]]:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain; version=")
    return {
        sample.name: [
            (each.labels, each.value) for each in family.samples if each.name == sample.name
        ]
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_a_new_restaurant_has_metrics_too(client: FlaskClient) -> None:
    found = scrape(client)
    assert found["pizza_database_up"] == [({}, 1)]
    assert found["pizza_outbox_lag_seconds"] == [({}, 0)]
    assert found["pizza_kitchen_paused"] == [({}, 0)]
    assert ({"status": "received"}, 0) in found["pizza_orders_stuck"]
    assert "pizza_orders_today" not in found


def test_orders_messages_and_waiting_are_counted(
    client: FlaskClient, conn: BoundedConnection, place: Place, cook: Cook
) -> None:
    for kind in ("takeout", "takeout", "dine-in"):
        place(kind, priority=1)
    cook(place("delivery", priority=1))
    # Then what waits to be published is as old as its oldest
    conn.execute("update message set created_at = now() - interval '7 s' where state = 'pending'")
    found = scrape(client)
    assert sorted(
        (labels["type"], labels["status"], value) for labels, value in found["pizza_orders_today"]
    ) == [("delivery", "ready", 1), ("dine-in", "received", 1), ("takeout", "received", 2)]
    assert (
        {"queue": "kitchen_takeout_queue", "state": "pending"},
        2,
    ) in found["pizza_messages"]
    ((_, lag),) = found["pizza_outbox_lag_seconds"]
    assert 7 <= lag < 60
    assert [labels for labels, _ in found["pizza_waiting_seconds_p90"]] == [{"priority": "1"}]


def test_workers_are_online_or_offline(
    client: FlaskClient, conn: BoundedConnection, db_url: str
) -> None:
    with connect(db_url, name="mario") as mario:
        assert (
            worker_storage.register_worker(mario, "mario", WorkerProfile("cook", "kitchen"), 10)
            == "registered"
        )
        (here,) = scrape(client)["pizza_worker_online"]
    assert here == ({"worker": "mario", "type": "cook", "station": "kitchen"}, 1)
    # Its session ends a moment after its connection
    wait_until(
        lambda: [value for _, value in scrape(client)["pizza_worker_online"]] == [0],
        5,
        "mario is gone",
    )
    assert scrape(client)["pizza_worker_orders_total"] == [({"worker": "mario", "type": "cook"}, 0)]


def test_the_metrics_have_the_state_of_the_relay(client: FlaskClient, db_url: str) -> None:
    class Away:
        @contextmanager
        def connection(self, timeout: float = 1.0) -> Any:
            raise DatabaseUnavailable("away")
            yield

    for state, leading in (("leading", 1), ("leading, broker away", 1), ("standby", 0)):
        dependencies = Dependencies(Away(), lambda state=state: state)  # type: ignore[misc]
        found = scrape(create_app(Settings(), dependencies).test_client())
        assert found["pizza_relay_leading"] == [({}, leading)]
        assert found["pizza_database_up"] == [({}, 0)], "a scrape without the database says so"


@pytest.mark.parametrize(
    ("state", "up", "blocked"), [("ok", 1, 0), ("away", 0, 0), ("blocked", 1, 1)]
)
def test_every_process_reports_the_broker_as_the_leader_sees_it(
    client: FlaskClient, conn: BoundedConnection, state: str, up: int, blocked: int
) -> None:
    conn.execute("update leader set broker_state = %s, heartbeat_at = now()", [state])
    found = scrape(client)
    assert found["pizza_broker_up"] == [({}, up)]
    assert found["pizza_broker_blocked"] == [({}, blocked)]
    conn.execute("update leader set heartbeat_at = now() - interval '11 seconds'")
    assert "pizza_broker_up" not in scrape(client)


def test_changes_that_tracking_received_are_counted_and_timed(
    client: FlaskClient, conn: BoundedConnection
) -> None:
    start = datetime.now(UTC)

    def receive(number: str, sequence: int, old: str | None, new: str, after: float) -> UUID:
        change = {"old": old, "new": new, "at": start + timedelta(seconds=after)}
        kind = {"order_type": "takeout", "priority": 5}
        event = status_message(number, sequence=sequence, **change, **kind)
        tracking.record_event(conn, event)
        return event.event_id

    for number, waited in (("ORD_20261123_001", 4), ("ORD_20261123_002", 400)):
        receive(number, 1, None, "received", 0)
        receive(number, 2, "received", "cooking", waited)
        # Taken over by another cook: no change of status
        receive(number, 3, "cooking", "cooking", waited + 1)
        receive(number, 4, "cooking", "ready", waited + 7)
    # The earlier change was lost, so its duration is unknown
    receive("ORD_20261123_003", 2, "received", "cooking", 9)
    found = scrape(client)

    counted = {labels["status"]: value for labels, value in found["pizza_orders_total"]}
    assert counted == {"received": 2, "cooking": 3, "ready": 2}
    waits = {
        labels["le"]: value
        for labels, value in found["pizza_waiting_seconds_bucket"]
        if (labels["type"], labels["priority"]) == ("takeout", "5")
    }
    assert [waits[le] for le in ("2.0", "5.0", "300.0", "600.0", "+Inf")] == [0, 1, 1, 2, 2]
    assert found["pizza_waiting_seconds_sum"] == [({"type": "takeout", "priority": "5"}, 404)]
    assert found["pizza_cooking_seconds_count"] == [({"type": "takeout"}, 2)]
    assert found["pizza_cooking_seconds_sum"] == [({"type": "takeout"}, 14)]


def test_an_event_that_comes_twice_is_counted_once(
    client: FlaskClient, conn: BoundedConnection
) -> None:
    event = status_message("ORD_20261123_001", order_type="delivery", priority=1)
    for known in (0, None):
        assert known == tracking.record_event(conn, event)
    ((labels, value),) = scrape(client)["pizza_orders_total"]
    assert (labels, value) == ({"type": "delivery", "priority": "1", "status": "received"}, 1)


def test_queue_depths_are_reported_while_they_are_recent(
    client: FlaskClient, conn: BoundedConnection
) -> None:
    record = Queries("taskqueue/keeper").record_queue_stats
    conn.execute(record, {"names": ["dead_letter_queue"], "messages": [3], "consumers": [0]})
    found = scrape(client)
    assert found["pizza_queue_depth"] == [({"queue": "dead_letter_queue"}, 3)]
    assert found["pizza_queue_consumers"] == [({"queue": "dead_letter_queue"}, 0)]
    conn.execute("update broker_queue set seen_at = now() - interval '31 s'")
    assert "pizza_queue_depth" not in scrape(client)


def test_dead_messages_are_counted_as_they_come_and_as_they_are(
    client: FlaskClient, conn: BoundedConnection
) -> None:
    assert scrape(client)["pizza_dead_messages"] == [({}, 0)]
    for _ in range(2):
        conn.execute("select message_dead_letter_raw('dead_letters', 'bakery', '', '{}')")
    conn.execute(
        "delete from dead_message where id = (select min(id::text)::uuid from dead_message)"
    )
    found = scrape(client)
    assert found["pizza_dead_messages"] == [({}, 1)]
    assert found["pizza_dead_letters_total"] == [({"queue": "bakery"}, 2)]


def test_events_without_a_bound_queue_are_counted_by_exchange(
    client: FlaskClient, conn: BoundedConnection
) -> None:
    assert "pizza_events_unroutable_total" not in scrape(client)
    for _ in range(3):
        conn.execute("select message_counter_increment('unroutable', 'nobody_listens')")
    found = scrape(client)
    assert found["pizza_events_unroutable_total"] == [({"exchange": "nobody_listens"}, 3)]


def test_no_metric_names_an_order_or_a_customer(
    client: FlaskClient, place: Place, cook: Cook
) -> None:
    number = place(customer_name="Penelope")
    cook(number)
    text = client.get("/metrics").text
    assert number not in text
    assert "Penelope" not in text
