"""The report can see: a database that was doctored is found out, and a clean one is not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import LiteralString

import psycopg
import pytest

from chaos_tools.checks.resources import ResourceSample, growth
from chaos_tools.checks.results import check_times, fill_report, longest_recovery
from chaos_tools.cluster import ChaosCluster
from chaos_tools.process_specs import SUBSCRIBER
from chaos_tools.report import Report
from chaos_tools.scenario import Scenario
from chaos_tools.workload.order_generator import Response
from devservices import Servers

NUMBERS = ("ORD_20261125_001", "ORD_20261125_002")
_ORDER = """
with o as (
    insert into orders (number, customer_name, customer_key, type, total_amount, status, version)
    values (%(number)s::text, %(number)s::text, %(number)s::text, 'dine-in', 9.5,
            'delivered', 4)
    returning id
), i as (
    insert into order_items (order_id, name, quantity, price, position)
    select id, 'Margherita', 1, 9.5, 1 from o
), l as (
    insert into order_status_log (order_id, status, changed_by, sequence)
    select id, status, by, n from o,
        (values ('received', 'order-service', 1), ('cooking', 'chef_1', 2), ('ready', 'chef_1', 3),
                ('delivered', 'desk', 4)) as step(status, by, n)
    returning sequence, status, changed_by
), t as (
    insert into tracking_event
        (event_id, order_number, sequence, new_status, changed_by, occurred_at, received_at)
    select gen_random_uuid(), %(number)s::text, sequence, status, changed_by, now(),
           now() + sequence * interval '1 s' from l
    returning event_id, new_status
)
insert into notification_delivery (subscriber, event_id, order_number, status, attempts, outcome)
select %(subscriber)s, event_id, %(number)s::text, new_status, 1, 'delivered' from t
"""
_OF_THE_FIRST = "order_id = (select id from orders where number = 'ORD_20261125_001')"


@pytest.fixture
def cluster(servers: Servers, db_url: str, tmp_path: Path) -> Iterator[ChaosCluster]:
    """Two orders, each with its whole life; nothing runs."""
    with psycopg.connect(db_url) as conn:
        for number in NUMBERS:
            conn.execute(_ORDER, {"number": number, "subscriber": SUBSCRIBER})
    found = ChaosCluster(servers, db_url, tmp_path / "logs", Report("none", 1, 0.0))
    yield found
    found.close()


def judge(cluster: ChaosCluster, *doctoring: LiteralString) -> Report:
    """The report after these statements."""
    with psycopg.connect(cluster.db_url) as conn:
        for statement in doctoring:
            conn.execute(statement)
    return fill_report(cluster, NUMBERS)


def test_a_clean_database_is_good(cluster: ChaosCluster) -> None:
    report = judge(cluster)
    assert report.good, report
    assert (report.accepted, report.delivered) == (2, 2)


def test_an_order_that_is_gone_or_was_never_delivered_is_lost(cluster: ChaosCluster) -> None:
    gone: LiteralString = "delete from orders where number = 'ORD_20261125_001'"
    stuck: LiteralString = "update orders set status = 'ready' where number = 'ORD_20261125_002'"
    assert judge(cluster, gone, stuck).lost == list(NUMBERS)


def test_an_order_that_was_ready_twice_is_doubled(cluster: ChaosCluster) -> None:
    report = judge(
        cluster,
        "insert into order_status_log (order_id, status, changed_by, sequence) "
        "select id, 'ready', 'chef_2', 5 from orders where number = 'ORD_20261125_001'",
    )
    assert report.doubled == [f"{NUMBERS[0]} ready"]
    assert report.wrong == [NUMBERS[0]]
    assert report.missing == [f"{NUMBERS[0]} in the log"]
    assert report.missed == [f"{NUMBERS[0]} change 5 at tracking"]


def test_two_orders_of_a_guest_who_ordered_once_are_doubled(cluster: ChaosCluster) -> None:
    assert judge(cluster, "update orders set customer_name = 'Ada'").doubled == [
        f"{NUMBERS[1]} placed"
    ]


def test_a_second_cook_who_took_over_from_nobody_overlaps(cluster: ChaosCluster) -> None:
    later: LiteralString = (
        "update order_status_log set sequence = sequence + 10 where sequence > 2 and "
    )
    second: LiteralString = (
        "insert into order_status_log (order_id, status, changed_by, sequence) "
        "select id, 'cooking', 'chef_2', 3 from orders where number = 'ORD_20261125_001'"
    )
    assert judge(cluster, later + _OF_THE_FIRST, second).overlapping == [NUMBERS[0]]


def test_a_cook_who_finishes_what_another_took_over_overlaps(cluster: ChaosCluster) -> None:
    thawed: LiteralString = (
        "update order_status_log set changed_by = 'chef_2' where status = 'ready' and "
    )
    assert judge(cluster, thawed + _OF_THE_FIRST).overlapping == [NUMBERS[0]]


def test_a_change_that_the_rules_do_not_know_is_wrong(cluster: ChaosCluster) -> None:
    skipped: LiteralString = "update order_status_log set status = 'delivered' where sequence = 2"
    assert judge(cluster, skipped).wrong == list(NUMBERS)


def test_what_tracking_or_the_subscriber_did_not_receive_is_missed(cluster: ChaosCluster) -> None:
    not_tracked: LiteralString = (
        "delete from tracking_event where sequence = 4 and order_number = 'ORD_20261125_001'"
    )
    not_delivered: LiteralString = (
        "delete from notification_delivery "
        "where order_number = 'ORD_20261125_002' and status = 'ready'"
    )
    assert judge(cluster, not_tracked, not_delivered).missed == [
        f"{NUMBERS[0]} change 4 at tracking",
        f"{NUMBERS[1]} change 3 at the subscriber",
    ]


def test_what_was_heard_too_late_is_out_of_order(cluster: ChaosCluster) -> None:
    late: LiteralString = (
        "update tracking_event set received_at = received_at + interval '5 s' where sequence = 3"
    )
    assert judge(cluster, late).disordered == list(NUMBERS)


def test_a_line_that_is_not_json_is_seen(cluster: ChaosCluster) -> None:
    (cluster.folder / "chef_1.log").write_text(
        '{"level": "INFO"}\nTraceback (most recent call last)\n'
    )
    assert judge(cluster).non_json_lines == ["chef_1: Traceback (most recent call last)"]


def test_only_what_the_broker_had_confirmed_and_lost_is_lost_there(cluster: ChaosCluster) -> None:
    cluster.lost_at_broker = {
        id
        for (id,) in cluster.rows(
            "select derived_uuid(id, 'event ' || n)::text "
            f"from orders, unnest('{{1, 3}}'::int[]) as n where number = '{NUMBERS[0]}'"
        )
    }
    report = judge(cluster, "delete from tracking_event where sequence in (3, 4)")
    assert report.lost_at_broker == [f"{NUMBERS[0]} change 3 at tracking"]
    assert report.missed == [
        f"{NUMBERS[0]} change 4 at tracking",
        *(f"{NUMBERS[1]} change {n} at tracking" for n in (3, 4)),
    ]


def test_an_order_without_its_items_is_half_stored(cluster: ChaosCluster) -> None:
    assert judge(cluster, "delete from order_items where price > 0").missing == [
        f"{number} in the items" for number in NUMBERS
    ]


def test_a_number_that_two_guests_were_told_is_doubled(cluster: ChaosCluster) -> None:
    report = fill_report(cluster, [*NUMBERS, NUMBERS[0]])
    assert report.doubled == [f"{NUMBERS[0]} answered twice"]


def test_full_speed_is_back_when_cooking_is_as_fast_as_ordering(cluster: ChaosCluster) -> None:
    with psycopg.connect(cluster.db_url) as conn:
        (moment,) = conn.execute("select now()").fetchone() or ()
        conn.execute("delete from order_status_log where status = 'cooking'")
        conn.execute(
            "insert into order_status_log (order_id, status, changed_by, changed_at, sequence) "
            "select id, 'cooking', 'chef', now() + n * interval '1 s', 10 + i from orders, "
            "unnest('{1, 6, 6.5, 7, 7.5, 8}'::float8[]) with ordinality as t(n, i) "
            "where number = 'ORD_20261125_001'"
        )
    cluster.recovered = [moment]
    assert longest_recovery(cluster, rate=0.5) == pytest.approx(1)
    assert longest_recovery(cluster, rate=2) == pytest.approx(6)
    # Who is struck again before counts only if it was longer than the promise
    cluster.injected = [moment + timedelta(seconds=0.5)]
    assert longest_recovery(cluster, rate=2) == 0
    cluster.recovered, cluster.injected = (
        [moment],
        [moment + timedelta(seconds=60)],
    )
    with psycopg.connect(cluster.db_url) as conn:
        conn.execute("delete from order_status_log where status = 'cooking'")
    assert longest_recovery(cluster, rate=2) == 60


def no_injection(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    pass


def test_slow_answers_and_refused_guests_are_found_out() -> None:
    responses = [Response(201, 0.1)] * 99 + [Response(503, 4.0)]
    broker_away, database_away = Report("a", 1, 1.0), Report("b", 1, 1.0, drained=31.0)
    check_times(broker_away, Scenario("a", "", no_injection), responses)
    assert (broker_away.denied, broker_away.late) == (["503 ×1"], [])
    assert broker_away.answers == (0.1, 4.0)
    responses += [Response(0, 5.0, timed_out=True)] * 20
    check_times(database_away, Scenario("b", "", no_injection, expect_no_errors=False), responses)
    assert not database_away.denied
    assert database_away.late == [
        "95 of 100 responses after 5.0 s instead of 2",
        "an empty outbox after 31.0 s instead of 30",
    ]


def test_what_has_grown_is_named() -> None:
    before = ResourceSample({"chef_1": 50 << 20}, sessions=20, links=10)
    assert not growth(before, ResourceSample({"chef_1": 60 << 20, "new": 1 << 30}, 21, 9))
    assert growth(before, ResourceSample({"chef_1": 90 << 20}, 25, 14)) == [
        "chef_1: 50 to 90 MB",
        "database sessions: 20 to 25",
        "broker connections: 10 to 14",
    ]
