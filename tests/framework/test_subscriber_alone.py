"""Two subscribers of one name: one lock decides who is at work, whatever restarts or ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest

from devservices import Postgres, RabbitMQ
from pizza.framework.task import publish

from ..pace import Stopwatch, wait_until
from .listener import SCHEMA
from .stage import Process, Stage

PROMISED_S = 5.0
FOR_EVER = "inf"


class Pair:
    """Two subscribers named alike, and events that are numbered."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._sent = 0
        options = {"alone": True, "patience": FOR_EVER}
        self.holder = stage.subscriber("tracking", **options)
        self.standby = stage.subscriber("tracking", ready=False, **options)
        self.standby.await_log("standing_by")

    def publish(self, count: int = 5) -> None:
        for _ in range(count):
            body = {"n": self._sent, "mode": "ok"}
            publish(self._stage.conn, self._stage.prefix, "event.x", body)
            self._sent += 1

    def assert_flow(self) -> None:
        """New events are handled within so long, each once and in order, by one at a time."""
        watch = Stopwatch()
        self.publish()
        wait_until(lambda: len(self.handled()) >= self._sent, 20, "all are handled")
        watch.assert_within(PROMISED_S)
        assert self.handled() == list(range(self._sent))

    def handled(self) -> list[int]:
        return [n for (n,) in self._stage.rows("select n from heard order by position")]

    def changes_of_holder(self) -> int:
        """How often the events went on to another process."""
        pids = [run["pid"] for run in self._stage.runs()]
        return sum(a != b for a, b in pairwise(pids))


@pytest.fixture
def pair(stage: Stage) -> Iterator[Pair]:
    stage.conn.execute(SCHEMA)
    stage.relay()
    found = Pair(stage)
    found.assert_flow()
    yield found


def assert_calm(processes: list[Process]) -> None:
    for each in processes:
        assert each.running and not each.tracebacks()
        assert len(each.log()) < 40


def test_restarts_of_the_broker(pair: Pair, rabbitmq: RabbitMQ) -> None:
    rabbitmq.settle()  # or the queue may be forgotten, with all that is in it
    for restart in (rabbitmq.restart, rabbitmq.restart, lambda: crash(rabbitmq)):
        pair.publish()
        restart()
        pair.assert_flow()
    assert pair.changes_of_holder() <= 3
    assert_calm([pair.holder, pair.standby])


def crash(server: RabbitMQ | Postgres) -> None:
    server.kill9()
    server.start()


@pytest.mark.parametrize("end", [Postgres.restart, crash], ids=["restarted", "crashed"])
def test_a_restart_of_the_database(
    stage: Stage, pair: Pair, postgres: Postgres, end: Callable[[Postgres], object]
) -> None:
    pair.publish()
    end(postgres)
    stage.reconnect()
    pair.assert_flow()
    assert pair.changes_of_holder() <= 1
    assert_calm([pair.holder, pair.standby])


def test_the_end_of_the_one_at_work(pair: Pair) -> None:
    pair.publish()
    pair.holder.kill9()
    pair.assert_flow()
    assert pair.changes_of_holder() == 1
    assert_calm([pair.standby])


def test_a_cut_of_the_session_that_holds_the_lock(stage: Stage, pair: Pair) -> None:
    cut = """select pg_terminate_backend(pid) from pg_locks join pg_stat_activity using (pid)
             where locktype = 'advisory' and application_name = 'toy tracking'
               and datname = current_database()"""
    for _ in range(5):
        assert stage.rows(cut) == [(True,)]
        pair.assert_flow()
    assert_calm([pair.holder, pair.standby])
