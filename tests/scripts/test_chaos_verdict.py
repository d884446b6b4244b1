"""The verdict can see: a database that was doctored is found out, and a clean one is not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import LiteralString

import psycopg
import pytest

from chaos_tools.checks.report import Verdict, judge_times, longest_recovery, read
from chaos_tools.checks.resources import Vitals, compare
from chaos_tools.cluster import World
from chaos_tools.process_specs import SUBSCRIBER
from chaos_tools.scenario import Storm
from chaos_tools.workload.responses import Answer, Answers
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
def world(servers: Servers, db_url: str, tmp_path: Path) -> Iterator[World]:
    """Two orders, each with its whole life; nothing runs."""
    with psycopg.connect(db_url) as conn:
        for number in NUMBERS:
            conn.execute(_ORDER, {"number": number, "subscriber": SUBSCRIBER})
    found = World(servers, db_url, tmp_path / "logs")
    yield found
    found.close()


def judge(world: World, *doctoring: LiteralString) -> Verdict:
    """The verdict after these statements."""
    with psycopg.connect(world.db_url) as conn:
        for statement in doctoring:
            conn.execute(statement)
    return read(world, NUMBERS, Verdict("none", 1, 0.0))


def test_a_clean_database_is_good(world: World) -> None:
    verdict = judge(world)
    assert verdict.good, verdict
    assert (verdict.accepted, verdict.delivered) == (2, 2)


def test_an_order_that_is_gone_or_was_never_delivered_is_lost(world: World) -> None:
    gone: LiteralString = "delete from orders where number = 'ORD_20261125_001'"
    stuck: LiteralString = "update orders set status = 'ready' where number = 'ORD_20261125_002'"
    assert judge(world, gone, stuck).lost == list(NUMBERS)


def test_an_order_that_was_ready_twice_is_doubled(world: World) -> None:
    verdict = judge(
        world,
        "insert into order_status_log (order_id, status, changed_by, sequence) "
        "select id, 'ready', 'chef_2', 5 from orders where number = 'ORD_20261125_001'",
    )
    assert verdict.doubled == [f"{NUMBERS[0]} ready"]
    assert verdict.wrong == [NUMBERS[0]]
    assert verdict.missing == [f"{NUMBERS[0]} in the log"]
    assert verdict.unheard == [f"{NUMBERS[0]} change 5 at tracking"]


def test_two_orders_of_a_guest_who_ordered_once_are_doubled(world: World) -> None:
    assert judge(world, "update orders set customer_name = 'Ada'").doubled == [
        f"{NUMBERS[1]} placed"
    ]


def test_a_second_cook_who_took_over_from_nobody_overlaps(world: World) -> None:
    later: LiteralString = (
        "update order_status_log set sequence = sequence + 10 where sequence > 2 and "
    )
    second: LiteralString = (
        "insert into order_status_log (order_id, status, changed_by, sequence) "
        "select id, 'cooking', 'chef_2', 3 from orders where number = 'ORD_20261125_001'"
    )
    assert judge(world, later + _OF_THE_FIRST, second).overlapping == [NUMBERS[0]]


def test_a_cook_who_finishes_what_another_took_over_overlaps(world: World) -> None:
    thawed: LiteralString = (
        "update order_status_log set changed_by = 'chef_2' where status = 'ready' and "
    )
    assert judge(world, thawed + _OF_THE_FIRST).overlapping == [NUMBERS[0]]


def test_a_change_that_the_rules_do_not_know_is_wrong(world: World) -> None:
    skipped: LiteralString = "update order_status_log set status = 'delivered' where sequence = 2"
    assert judge(world, skipped).wrong == list(NUMBERS)


def test_what_tracking_or_the_subscriber_never_heard_is_unheard(world: World) -> None:
    unheard: LiteralString = (
        "delete from tracking_event where sequence = 4 and order_number = 'ORD_20261125_001'"
    )
    untold: LiteralString = (
        "delete from notification_delivery "
        "where order_number = 'ORD_20261125_002' and status = 'ready'"
    )
    assert judge(world, unheard, untold).unheard == [
        f"{NUMBERS[0]} change 4 at tracking",
        f"{NUMBERS[1]} change 3 at the subscriber",
    ]


def test_what_was_heard_too_late_is_out_of_order(world: World) -> None:
    late: LiteralString = (
        "update tracking_event set received_at = received_at + interval '5 s' where sequence = 3"
    )
    assert judge(world, late).disordered == list(NUMBERS)


def test_a_line_that_is_not_json_is_seen(world: World) -> None:
    (world.folder / "chef_1.log").write_text(
        '{"level": "INFO"}\nTraceback (most recent call last)\n'
    )
    assert judge(world).odd_lines == ["chef_1: Traceback (most recent call last)"]


def test_only_what_the_broker_had_confirmed_and_lost_is_spilled(world: World) -> None:
    world.journal.spilled = {
        id
        for (id,) in world.rows(
            "select part_id(id, 'event ' || n)::text from orders, unnest('{1, 3}'::int[]) as n "
            f"where number = '{NUMBERS[0]}'"
        )
    }
    verdict = judge(world, "delete from tracking_event where sequence in (3, 4)")
    assert verdict.spilled == [f"{NUMBERS[0]} change 3 at tracking"]
    assert verdict.unheard == [
        f"{NUMBERS[0]} change 4 at tracking",
        *(f"{NUMBERS[1]} change {n} at tracking" for n in (3, 4)),
    ]


def test_an_order_without_its_items_is_half_stored(world: World) -> None:
    assert judge(world, "delete from order_items where price > 0").missing == [
        f"{number} in the items" for number in NUMBERS
    ]


def test_a_number_that_two_guests_were_told_is_doubled(world: World) -> None:
    verdict = read(world, [*NUMBERS, NUMBERS[0]], Verdict("none", 1, 0.0))
    assert verdict.doubled == [f"{NUMBERS[0]} told twice"]


def test_full_speed_is_back_when_cooking_is_as_fast_as_ordering(world: World) -> None:
    with psycopg.connect(world.db_url) as conn:
        (moment,) = conn.execute("select now()").fetchone() or ()
        conn.execute("delete from order_status_log where status = 'cooking'")
        conn.execute(
            "insert into order_status_log (order_id, status, changed_by, changed_at, sequence) "
            "select id, 'cooking', 'chef', now() + n * interval '1 s', 10 + i from orders, "
            "unnest('{1, 6, 6.5, 7, 7.5, 8}'::float8[]) with ordinality as t(n, i) "
            "where number = 'ORD_20261125_001'"
        )
    world.journal.healed = [moment]
    assert longest_recovery(world, rate=0.5) == pytest.approx(1)
    assert longest_recovery(world, rate=2) == pytest.approx(6)
    # Who is struck again before counts only if it was longer than the promise
    world.journal.struck = [moment + timedelta(seconds=0.5)]
    assert longest_recovery(world, rate=2) == 0
    world.journal.healed, world.journal.struck = [moment], [moment + timedelta(seconds=60)]
    with psycopg.connect(world.db_url) as conn:
        conn.execute("delete from order_status_log where status = 'cooking'")
    assert longest_recovery(world, rate=2) == 60


def no_blow(world: World, random: Random, seconds: float) -> None:
    pass


def test_slow_answers_and_refused_guests_are_found_out() -> None:
    answers = Answers()
    for _ in range(99):
        answers.note(Answer(201, 0.1))
    answers.note(Answer(503, 4.0))
    broker_away, database_away = Verdict("a", 1, 1.0), Verdict("b", 1, 1.0, drained=31.0)
    judge_times(broker_away, Storm("a", "", no_blow), answers)
    assert (broker_away.denied, broker_away.late) == (["503 ×1"], [])
    assert broker_away.answers == (0.1, 4.0)
    for _ in range(20):
        answers.note(Answer(0, 5.0, timed_out=True))
    judge_times(database_away, Storm("b", "", no_blow, spares_guests=False), answers)
    assert not database_away.denied
    assert database_away.late == [
        "95 of 100 answers after 5.0 s instead of 2",
        "an empty outbox after 31.0 s instead of 30",
    ]


def test_what_has_grown_is_named() -> None:
    before = Vitals({"chef_1": 50 << 20}, sessions=20, links=10)
    assert not compare(before, Vitals({"chef_1": 60 << 20, "new": 1 << 30}, 21, 9))
    assert compare(before, Vitals({"chef_1": 90 << 20}, 25, 14)) == [
        "chef_1: 50 to 90 MB",
        "database sessions: 20 to 25",
        "broker connections: 10 to 14",
    ]
