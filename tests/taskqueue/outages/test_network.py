"""The network between the processes and their servers breaks or goes silent, and recovers."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

import pytest

from devservices import Postgres, Proxy, RabbitMQ

from ...support.taskqueue.worker_process import Harness
from ...support.waiting import wait_until


@pytest.fixture
def broker_proxy(rabbitmq: RabbitMQ) -> Iterator[Proxy]:
    """A proxy in front of RabbitMQ."""
    proxy = Proxy(rabbitmq.address)
    yield proxy
    proxy.close()


@pytest.fixture
def database_proxy(postgres: Postgres) -> Iterator[Proxy]:
    """The way to PostgreSQL."""
    proxy = Proxy(postgres.address)
    yield proxy
    proxy.close()


@pytest.fixture
def proxied(
    harness: Harness,
    broker_proxy: Proxy,
    database_proxy: Proxy,
    postgres: Postgres,
    rabbitmq: RabbitMQ,
) -> dict[str, str]:
    """Options of a process that reaches its servers through the proxies."""
    return {
        "db": harness.db_url.replace(postgres.address, database_proxy.address),
        "broker": rabbitmq.url.replace(rabbitmq.address, broker_proxy.address),
    }


def test_connections_that_break_at_random_lose_and_double_nothing(
    harness: Harness, proxied: dict[str, str], broker_proxy: Proxy, database_proxy: Proxy
) -> None:
    workers = harness.workers(3, "red,green,blue", lease=3, **proxied)
    chance = random.Random(11)
    over = threading.Event()

    def havoc() -> None:
        while not over.wait(chance.uniform(0.05, 0.5)):
            chance.choice((broker_proxy, database_proxy)).reset()

    breaker = threading.Thread(target=havoc)
    breaker.start()
    jobs = []
    for number in range(150):
        colour = ("red", "green", "blue")[number % 3]
        jobs.append(harness.send("sleep", colour, seconds=0.01, label=str(number)))
        time.sleep(0.03)  # so that the breaks fall into all of it
    over.set()
    breaker.join()
    harness.await_all_done(45)
    harness.assert_each_once(jobs)
    assert all(worker.running for worker in workers)
    assert not [line for worker in workers for line in worker.tracebacks()]
    # All are back, and share the work
    for worker in workers:
        wait_until(lambda name=worker.name: _works(harness, name), 15, f"{worker.name} works again")


def _works(harness: Harness, name: str) -> bool:
    before = harness.shares()[name]
    harness.send_many(3, "sleep", seconds=0.05)
    harness.await_all_done()
    return harness.shares()[name] > before


def test_a_silent_network_to_the_broker_delays_and_loses_nothing(
    harness: Harness, proxied: dict[str, str], broker_proxy: Proxy
) -> None:
    far = harness.worker("far", heartbeat=2, lease=3, **proxied)
    gate = harness.gate()
    job = harness.send("sleep", until=gate)
    harness.await_run(job)
    # Given that nothing gets through while a job runs; its broker gives the delivery to another
    broker_proxy.blackhole()
    near = harness.worker("near", heartbeat=2, lease=3)
    gate.open()
    # Then the job ends where it began, since its holder lives
    harness.await_all_done(15)
    harness.assert_each_once([job])
    assert harness.shares() == {"far": 1}
    # And the worker that receives nothing starts over
    far.await_log("broker_lost", 10)
    near.kill9()
    later = harness.send()
    assert far.running
    broker_proxy.recover()
    far.await_log("broker_reconnected", 10)
    harness.await_all_done(15)
    harness.assert_each_once([job, later])


def test_a_silent_network_to_the_database_costs_the_claim_at_most(
    harness: Harness, proxied: dict[str, str], database_proxy: Proxy
) -> None:
    near = harness.worker("near", "blue", lease=3)
    far = harness.worker("far", lease=3, no_relay=True, **proxied)
    gate = harness.gate()
    job = harness.send("two", until=gate)
    wait_until(lambda: harness.effects()[job] == 1, 10, "the first step has committed")
    database_proxy.blackhole()
    gate.open()
    # When its answers have not come for ten seconds, it gives the connection up
    far.await_log("database_lost", 25)
    assert far.running
    database_proxy.recover()
    harness.await_all_done(20)
    labels = [label for (label,) in harness.rows("select label from effect order by id")]
    assert labels.count(" ended") == 1
    assert near.running and far.running
    assert not far.tracebacks()
