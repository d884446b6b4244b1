"""A sender that stays in its transaction costs the relay little."""

from __future__ import annotations

import time

import psycopg

from pizza.taskqueue.task import publish

from ...support.taskqueue.event_probe import EventProbe
from ...support.taskqueue.worker_process import Harness
from ...support.waiting import Stopwatch

OPEN_S = 10.0


def ended(harness: Harness) -> int:
    """How many transactions the database has ended; each statement of the relay is one."""
    query = """select xact_commit + xact_rollback from pg_stat_database
               where datname = current_database()"""
    ((count,),) = harness.rows(query)
    return int(count)


def test_the_relay_rests_while_a_sender_is_in_no_hurry(harness: Harness) -> None:
    relay = harness.relay()
    with psycopg.connect(harness.db_url) as sender:
        publish(sender, harness.prefix, "event.x", {})
        # The first moments are a relay that has just had something to do.
        time.sleep(0.5)
        watch, cpu, statements = Stopwatch(), relay.cpu_seconds(), ended(harness)
        time.sleep(OPEN_S)
        share = (relay.cpu_seconds() - cpu) / watch.seconds
        rate = (ended(harness) - statements) / watch.seconds
        with EventProbe(harness) as probe:
            time.sleep(3)
        sender.rollback()
    assert share <= 0.05
    assert rate <= 60
    probe.assert_on_time(0.1)
