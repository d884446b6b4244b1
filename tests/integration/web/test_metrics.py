"""`/metrics` as Prometheus's own parser reads it, against what the database holds."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from pizza.database.connection import BoundedConnection, connect
from pizza.database.errors import DatabaseUnavailable
from pizza.settings import Settings
from pizza.storage import workers
from pizza.storage.workers import Post
from pizza.web import Backend, create_app

from .conftest import Cook, Place


def scrape(client: FlaskClient) -> dict[str, list[tuple[dict[str, str], float]]]:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain; version=")
    return {
        sample.name: [(each.labels, each.value) for each in family.samples]
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_a_restaurant_that_has_just_opened_has_figures_too(client: FlaskClient) -> None:
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
        {"queue": "kitchen_takeout_queue", "state": "pending"}, 2,
    ) in found["pizza_messages"]  # fmt: skip
    ((_, lag),) = found["pizza_outbox_lag_seconds"]
    assert 7 <= lag < 60
    assert [labels for labels, _ in found["pizza_waiting_seconds_p90"]] == [{"priority": "1"}]


def test_workers_are_there_or_gone(
    client: FlaskClient, conn: BoundedConnection, db_url: str
) -> None:
    with connect(db_url, name="mario") as mario:
        assert workers.enter(mario, "mario", Post("cook", "kitchen"), 10) == "welcome"
        (here,) = scrape(client)["pizza_worker_online"]
    assert here == ({"worker": "mario", "type": "cook", "station": "kitchen"}, 1)
    ((_, value),) = scrape(client)["pizza_worker_online"]
    assert value == 0
    assert scrape(client)["pizza_worker_orders_total"] == [({"worker": "mario", "type": "cook"}, 0)]


def test_what_the_relay_does_is_told(client: FlaskClient, db_url: str) -> None:
    class Away:
        @contextmanager
        def connection(self, timeout: float = 1.0) -> Any:
            raise DatabaseUnavailable("away")
            yield

    for state, leading, broker in (
        ("leading", 1, 1), ("leading, broker away", 1, 0), ("standby", 0, 1),
    ):  # fmt: skip
        backend = Backend(Away(), lambda state=state: state)  # type: ignore[misc]
        found = scrape(create_app(Settings(), backend).test_client())
        assert found["pizza_relay_leading"] == [({}, leading)]
        assert found["pizza_broker_up"] == [({}, broker)]
        assert found["pizza_database_up"] == [({}, 0)], "a scrape without the database says so"
