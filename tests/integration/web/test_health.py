"""`/readyz`: each check against a real database."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from pizza.database.connection import BoundedConnection, connect
from pizza.database.migrate import scripts
from pizza.kitchen import worker_storage
from pizza.kitchen.worker_storage import WorkerProfile


def ready(client: FlaskClient) -> tuple[int, dict[str, Any]]:
    answer = client.get("/readyz")
    if answer.status_code == 503:
        assert int(answer.headers["Retry-After"]) >= 1
    return answer.status_code, answer.json["checks"]


def test_a_restaurant_without_cooks_is_ready_and_says_so(client: FlaskClient, db_url: str) -> None:
    assert ready(client) == (
        200,
        {
            "database": "ok",
            "schema": "current",
            "kitchen": "no cook on shift",
            "broker": "unknown",
            "relay": "unknown",
        },
    )
    with connect(db_url, name="mario") as mario:
        assert (
            worker_storage.register_worker(mario, "mario", WorkerProfile("cook", "kitchen"), 10)
            == "registered"
        )
        assert ready(client)[1]["kitchen"] == "ok"
        mario.execute("update kitchen_state set paused = true")
        assert ready(client)[1]["kitchen"] == "paused"


@pytest.mark.parametrize(
    ("state", "broker"), [("ok", "ok"), ("away", "unavailable"), ("blocked", "blocked")]
)
def test_a_service_that_does_not_publish_reports_the_broker_as_the_leader_sees_it(
    client: FlaskClient, conn: BoundedConnection, state: str, broker: str
) -> None:
    conn.execute("update leader set broker_state = %s, heartbeat_at = now()", [state])
    assert ready(client)[1]["broker"] == broker
    conn.execute("update leader set heartbeat_at = now() - interval '11 seconds'")
    assert ready(client)[1]["broker"] == "unknown"


@pytest.mark.parametrize(
    ("change", "status", "schema"),
    [
        (
            "insert into schema_migration (name, checksum) values ('9999_more.sql', 'x')",
            200,
            "newer",
        ),
        (
            "update schema_migration set checksum = 'x' where name = 'functions/orders.sql'",
            200,
            "other functions",
        ),
        ("drop table schema_migration", 503, "missing"),
    ],
)
def test_the_schema_check_tells_missing_tables_from_those_of_another_release(
    client: FlaskClient, conn: BoundedConnection, change: str, status: int, schema: str
) -> None:
    conn.execute(change)
    found, checks = ready(client)
    assert (found, checks["schema"]) == (status, schema)


def test_with_an_outdated_schema_no_orders_are_accepted(
    client: FlaskClient, conn: BoundedConnection
) -> None:
    newest = max(script.name for script in scripts() if not script.repeatable)
    conn.execute("delete from schema_migration where name = %s", [newest])
    status, checks = ready(client)
    assert (status, checks["schema"]) == (503, f"behind: {newest}")
