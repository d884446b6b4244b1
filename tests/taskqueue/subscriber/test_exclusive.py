"""Of two subscribers of one name one works; a lock decides, whatever restarts or ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from devservices import Postgres, RabbitMQ
from pizza.taskqueue.task import publish

from ...support.taskqueue.sample_subscriber import SCHEMA
from ...support.taskqueue.worker_process import Harness, Process
from ...support.waiting import Stopwatch, wait_until

LIMIT_S = 5.0
FOR_EVER = "inf"
LEASE_S = 4.0


class Pair:
    """Two subscribers named alike, and events that are numbered."""

    def __init__(self, harness: Harness, **options: float) -> None:
        self._harness = harness
        self._sent = 0
        options = {"exclusive": True, "takeover_timeout": FOR_EVER, **options}
        self.holder = harness.subscriber("tracking", **options)
        self.standby = harness.subscriber("tracking", ready=False, **options)
        self.standby.await_log("standing_by")

    def publish(self, count: int = 5) -> None:
        for _ in range(count):
            body = {"n": self._sent, "mode": "ok"}
            publish(self._harness.conn, self._harness.prefix, "event.x", body)
            self._sent += 1

    def assert_flow(self) -> None:
        """New events are handled within so long, each once and in order, by one at a time."""
        watch = Stopwatch()
        self.publish()
        wait_until(lambda: len(self.handled()) >= self._sent, 20, "all are handled")
        watch.assert_within(LIMIT_S)
        assert self.handled() == list(range(self._sent))

    def handled(self) -> list[int]:
        return [n for (n,) in self._harness.rows("select n from heard order by position")]

    def changes_of_holder(self) -> int:
        """How often the events went on to another process."""
        pids = [run["pid"] for run in self._harness.runs()]
        return sum(a != b for a, b in pairwise(pids))


@pytest.fixture
def pair(harness: Harness) -> Iterator[Pair]:
    harness.conn.execute(SCHEMA)
    harness.relay()
    found = Pair(harness)
    found.assert_flow()
    yield found


def assert_healthy(processes: list[Process]) -> None:
    for each in processes:
        assert each.running and not each.tracebacks()
        assert len(each.log()) < 40


def test_restarts_of_the_broker(pair: Pair, rabbitmq: RabbitMQ) -> None:
    rabbitmq.flush_topology()  # or the queue may be forgotten, with all that is in it
    for restart in (rabbitmq.restart, rabbitmq.restart, lambda: crash(rabbitmq)):
        pair.publish()
        restart()
        pair.assert_flow()
    assert pair.changes_of_holder() <= 3
    assert_healthy([pair.holder, pair.standby])


def crash(server: RabbitMQ | Postgres) -> None:
    server.kill9()
    server.start()


@pytest.mark.parametrize("end", [Postgres.restart, crash], ids=["restarted", "crashed"])
def test_a_restart_of_the_database(
    harness: Harness, pair: Pair, postgres: Postgres, end: Callable[[Postgres], object]
) -> None:
    pair.publish()
    end(postgres)
    harness.reconnect()
    pair.assert_flow()
    assert pair.changes_of_holder() <= 1
    assert_healthy([pair.holder, pair.standby])


def test_the_end_of_the_one_at_work(pair: Pair) -> None:
    pair.publish()
    pair.holder.kill9()
    pair.assert_flow()
    assert pair.changes_of_holder() == 1
    assert_healthy([pair.standby])


def test_a_frozen_subscriber_is_replaced_and_stands_by_when_it_continues(harness: Harness) -> None:
    # Given one at work, whose lease covers one run of its handler, and one that stands by
    harness.conn.execute(SCHEMA)
    harness.relay()
    pair = Pair(harness, heartbeat=2, time_limit=LEASE_S / 2, lease=LEASE_S / 2)
    pair.assert_flow()
    # When it is frozen, then the other one continues
    pair.holder.freeze()
    watch = Stopwatch()
    pair.publish()
    wait_until(lambda: len(pair.handled()) == 10, LEASE_S + 20, "the other handles the events")
    watch.assert_within(LEASE_S + LIMIT_S)
    # And when it thaws it has no effect, and follows the other
    pair.holder.thaw()
    pair.holder.await_log("standing_by", 20)
    pair.holder, pair.standby = pair.standby, pair.holder
    pair.holder.kill9()
    pair.assert_flow()


def test_a_working_subscriber_keeps_its_lease(harness: Harness) -> None:
    # Given a handler that takes longer than the lease beyond its time limit
    harness.conn.execute(SCHEMA)
    harness.relay()
    pair = Pair(harness, time_limit=LEASE_S, lease=1)
    pair.assert_flow()
    # When it handles several such events, and has nothing to do for a while
    for number in range(2):
        body = {"n": 5 + number, "mode": "block", "seconds": LEASE_S - 1}
        publish(harness.conn, harness.prefix, "event.x", body)
    wait_until(lambda: len(pair.handled()) == 7, 2 * LEASE_S + 20, "the events are handled")
    watch = Stopwatch()
    wait_until(lambda: watch.seconds > 2 * LEASE_S, 3 * LEASE_S, "the time has passed")
    # Then its session continues
    assert pair.holder.running and not pair.holder.log("subscriber_replaced")
    assert pair.changes_of_holder() == 0


def test_the_subscriber_survives_a_cut_of_the_session_with_its_lock(
    harness: Harness, pair: Pair
) -> None:
    cut = """select pg_terminate_backend(pid) from pg_locks join pg_stat_activity using (pid)
             where locktype = 'advisory' and application_name = 'sample tracking'
               and datname = current_database()"""
    for _ in range(5):
        assert harness.rows(cut) == [(True,)]
        pair.assert_flow()
    assert_healthy([pair.holder, pair.standby])
