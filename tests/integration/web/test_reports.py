"""Reports over HTTP against plain SQL on the same database."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient

from pizza.database.connection import BoundedConnection

# Three days of orders, some late, some cancelled, some still in the kitchen.
_FILL = """
insert into orders (number, customer_name, customer_key, type, total_amount, priority, status,
                    created_at, started_at, completed_at, promised_at)
select 'ORD_20241216_' || n, 'Jo', 'jo', (array['dine-in', 'takeout', 'delivery'])[1 + n % 3], 10,
       (array[1, 5, 10])[1 + (n / 3) % 3],
       (array['ready', 'delivered', 'cancelled', 'received'])[1 + n % 4],
       born, born + make_interval(secs => waited),
       case when n % 4 < 2 or n % 12 = 2 then born + make_interval(secs => waited + cooked) end,
       born + interval '20 s'
from (
    select n, timestamptz '2024-12-15 22:00Z' + n * interval '10 min' as born,
           random() * 15 as waited, 5 + random() * 10 as cooked
    from generate_series(100, 399) n
) random_orders
"""
# One group at a time, without grouping sets or views.
_PLAIN = """
select count(*),
       (select count(*) from o where status = 'cancelled'),
       count(completed_at),
       avg(extract(epoch from completed_at - created_at))::float8,
       percentile_cont(0.9) within group (
           order by extract(epoch from completed_at - created_at)::float8),
       (select count(*) from o where completed_at is not null
                               and completed_at > promised_at + interval '1 s')
from o
"""
NAMES = (
    "orders", "cancelled", "prepared", "avg_preparation_seconds", "p90_preparation_seconds", "late",
)  # fmt: skip


@pytest.fixture
def history(conn: BoundedConnection) -> BoundedConnection:
    conn.execute("select setseed(%s)", [random.random()])
    conn.execute(_FILL)
    return conn


def plainly(conn: BoundedConnection, where: str, *values: Any) -> dict[str, Any]:
    condition = "(created_at at time zone 'UTC')::date = '2024-12-17'"
    query = f"with o as (select * from orders where {condition} and {where}) {_PLAIN}"
    row = conn.execute(query.encode(), values).fetchone()
    assert row is not None
    found = dict(zip(NAMES, row, strict=True))
    found["late_share"] = found["late"] / found["prepared"]
    return found


def test_a_days_report_is_plain_sql(client: FlaskClient, history: BoundedConnection) -> None:
    report = client.get("/reports/2024-12-17").json

    by_type, by_priority = report.pop("by_type"), report.pop("by_priority")
    assert report.pop("day") == "2024-12-17"
    assert report["orders"] == 144
    assert 0 < report["late"] < report["prepared"] < 144
    assert report["cancelled"] == 36
    assert report == pytest.approx(plainly(history, "true"), abs=0.0005)
    assert list(by_type) == ["delivery", "dine-in", "takeout"]
    for kind, figures in by_type.items():
        assert figures == pytest.approx(plainly(history, "type = %s", kind), abs=0.0005)
    assert list(by_priority) == ["10", "5", "1"]
    for level, figures in by_priority.items():
        assert figures == pytest.approx(plainly(history, "priority = %s", int(level)), abs=0.0005)


def test_the_report_of_a_day_without_orders_has_zeros(client: FlaskClient) -> None:
    report = client.get("/reports/2024-12-17").json

    assert (report["orders"], report["late_share"], report["by_type"]) == (0, None, {})
    assert report["avg_preparation_seconds"] is None


def test_todays_report_has_the_late_and_the_cancelled(
    client: FlaskClient, place: Any, cook: Any
) -> None:
    day = datetime.now(UTC).date().isoformat()
    in_time, late, cancelled = place(), place("dine-in"), place()
    cook(in_time, waited=0, cooked=5)
    cook(late, waited=0, cooked=500)
    client.post(f"/orders/{cancelled}/cancel")

    report = client.get("/reports/today").json

    assert report["day"] >= day
    if report["day"] == day:
        assert (report["orders"], report["prepared"], report["cancelled"]) == (3, 2, 1)
        assert (report["late"], report["late_share"]) == (1, 0.5)
        assert report["avg_preparation_seconds"] == 252.5
        assert report["by_type"]["dine-in"]["late"] == 1


def test_a_moment_after_the_estimate_is_not_late(
    client: FlaskClient, conn: BoundedConnection, place: Any, cook: Any
) -> None:
    cook(place(), waited=0, cooked=5)
    conn.execute("update orders set promised_at = completed_at - interval '0.9 s'")

    assert client.get("/reports/today").json["late"] == 0


def test_waits_by_priority_are_plain_sql(client: FlaskClient, history: BoundedConnection) -> None:
    waits = client.get("/metrics/priority").json

    assert [row["priority"] for row in waits] == [10, 5, 1]
    for row in waits:
        plain = history.execute(
            "select count(*), avg(w), percentile_cont(0.9) within group (order by w) from ("
            " select extract(epoch from started_at - created_at)::float8 as w"
            " from orders where priority = %s) o",
            [row["priority"]],
        ).fetchone()
        found = (row["orders"], row["avg_wait_seconds"], row["p90_wait_seconds"])
        assert found == pytest.approx(plain, abs=0.0005)
        assert row["begun"] == row["orders"]
