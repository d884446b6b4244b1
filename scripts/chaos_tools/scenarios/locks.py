"""Transactions that stay open, and rows that another session has locked."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from random import Random

import psycopg

from chaos_tools import process_specs
from chaos_tools.checks import queries
from chaos_tools.cluster import ChaosCluster
from chaos_tools.process_specs import LEASE_SECONDS
from chaos_tools.scenario import RESTART_SECONDS, repetitions, scenario
from chaos_tools.workload import sample_tasks
from devservices import repeating, wait_until

OTHERS_SECONDS = 0.5  # from the sending of another task, or order, to its effect
TAKEN_OVER_SECONDS = LEASE_SECONDS + 5.0
OPEN_SECONDS = 10.0
HOLD_SECONDS = 1.0
PING_SECONDS = 0.1
# One is frozen, one takes its job over, and one does the other tasks meanwhile.
WORKERS = ("holder_1", "holder_2", "holder_3")

LONG_SECONDS, FULL_LONG_SECONDS = 16.0, 40.0
ROW_LOCK_SECONDS = 10.0
SLOW_COOK_SECONDS = 60.0

_ATTEMPTS = "select attempt from chaos_effect where message_id = %(id)s::uuid"
_LOCK_ORDER = "select id from orders where number = %(number)s and status = 'received' for update"
_LOCK_MESSAGE = "select id from message where id = %(id)s for update"


@scenario("SIGSTOP of a worker inside its job's transaction, then SIGCONT")
def frozen_in_transaction(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """Another worker takes over within the lease, and nothing else is delayed."""
    with sample_tasks.workers(cluster, *WORKERS), others(cluster) as ids:
        for _ in repetitions(seconds, TAKEN_OVER_SECONDS):
            ids.append(freeze_one(cluster))
    if cluster.report.hits < cluster.report.aimed:
        cluster.report.fail("no worker was frozen inside its transaction")


@scenario(
    "a healthy job keeps its transaction open for 16 s; with --full for 40 s",
    full_seconds=FULL_LONG_SECONDS,
)
def long_transaction(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """It has its effect once, in its first attempt, and nothing else waits."""
    hold = max(LONG_SECONDS, min(FULL_LONG_SECONDS, seconds))
    with sample_tasks.workers(cluster, *WORKERS), others(cluster) as ids:
        (id,) = sample_tasks.send(cluster, hold=hold)
        ids.append(id)
        wait_until(lambda: sample_tasks.all_recorded(cluster, [id]), 2 * hold)
    attempts = [attempt for (attempt,) in cluster.rows(_ATTEMPTS, id=id)]
    cluster.report.record_attempt(attempts == [1])
    if attempts != [1]:
        cluster.report.fail(f"the long job had its effect in the attempts {attempts}, not in 1")


@scenario(
    "another session locks the row of a waiting order, and that of its message",
    recovery=RESTART_SECONDS,
)
def row_lock(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """One slow cook is on shift, so orders wait and their estimates change. All is published."""
    with (
        one_slow_cook(cluster),
        psycopg.connect(cluster.db_url) as conn,
        cluster.measured_publishing(),
    ):
        number = cluster.generator.place_order_at(cluster.port)
        wait_until(lambda: not cluster.value(queries.PENDING, number=number), OPEN_SECONDS)
        row = conn.execute(_LOCK_ORDER, {"number": number}).fetchone()
        cluster.report.record_attempt(row is not None)
        if row is not None:
            conn.execute(_LOCK_MESSAGE, {"id": row[0]})
        time.sleep(max(ROW_LOCK_SECONDS, seconds))
        conn.rollback()
    if not cluster.report.hits:
        cluster.report.fail("the order was not waiting when its row was to be locked")


def freeze_one(cluster: ChaosCluster) -> str:
    """Freeze a worker inside a job's transaction until another has done it; the job's id."""
    before = {name: cluster.log_count(sample_tasks.TRANSACTION_OPEN, name) for name in WORKERS}
    (id,) = sample_tasks.send(cluster, hold=HOLD_SECONDS)

    def in_transaction() -> str | None:
        counts = {name: cluster.log_count(sample_tasks.TRANSACTION_OPEN, name) for name in WORKERS}
        return next((name for name in WORKERS if counts[name] > before[name]), None)

    def done() -> bool:
        return sample_tasks.all_recorded(cluster, [id])

    name = wait_until(in_transaction, OPEN_SECONDS)
    if name is not None:
        cluster.freeze(name)
    began = time.monotonic()
    cluster.report.record_attempt(name is not None and not done())
    wait_until(done, 2 * TAKEN_OVER_SECONDS)
    if name is not None:
        took = time.monotonic() - began
        cluster.report.record_latency("a job taken over", took, TAKEN_OVER_SECONDS)
        cluster.thaw(name)
    return id


@contextmanager
def others(cluster: ChaosCluster) -> Iterator[list[str]]:
    """Other tasks, orders and events for the time of a block, and how soon they had their effect.

    Gives a list for the ids of the scenario's own tasks, whose results are recorded too.
    """
    own: list[str] = []
    pings: list[str] = []
    ping = lambda: pings.extend(sample_tasks.send(cluster))  # noqa: E731
    since = cluster.value("select clock_timestamp()")
    with cluster.measured_publishing():
        with repeating(ping, PING_SECONDS):
            yield own
        begun = [seconds for (seconds,) in cluster.rows(queries.BEGUN, since=since)]
        wait_until(lambda: sample_tasks.all_recorded(cluster, own + pings), OPEN_SECONDS)
    tasks = sample_tasks.effects(cluster, pings).values()
    cluster.report.record_percentile("other tasks done", list(chain(*tasks)), OTHERS_SECONDS)
    cluster.report.record_percentile("orders begun", begun, OTHERS_SECONDS)
    sample_tasks.record_results(cluster, own + pings)


@contextmanager
def one_slow_cook(cluster: ChaosCluster) -> Iterator[None]:
    """One cook with a minute for an order replaces all others, for the time of a block."""
    name = "slow_cook"
    with (
        cluster.without_cooks(),
        cluster.extra_processes({name: process_specs.cook(name, SLOW_COOK_SECONDS)}),
    ):
        wait_until(lambda: cluster.value(queries.COOKING, name=name), OPEN_SECONDS)
        yield
