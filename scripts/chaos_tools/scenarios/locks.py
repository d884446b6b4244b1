"""Transactions that stay open, and rows that somebody else has locked."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import psycopg

from chaos_tools import process_specs
from chaos_tools.checks import queries
from chaos_tools.checks.latency import percentile
from chaos_tools.checks.latency_probe import LatencyProbe, record_publishing
from chaos_tools.cluster import World
from chaos_tools.process_specs import LEASE_SECONDS
from chaos_tools.scenario import RESTART_SECONDS, storm, turns
from chaos_tools.shift import without_cooks
from chaos_tools.workload import sample_tasks
from chaos_tools.workload.task_worker import TRANSACTION_OPEN

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

_EFFECT = "select worker, attempt from storm_effect where message_id = %(id)s::uuid"
_LOCK_ORDER = "select id from orders where number = %(number)s and status = 'received' for update"
_LOCK_MESSAGE = "select id from message where id = %(id)s for update"


@storm("frozen-in-transaction", "SIGSTOP of a worker inside its job's transaction, then SIGCONT")
def frozen_in_transaction(world: World, random: Random, seconds: float) -> None:
    """Another worker takes over within the lease, and nobody else notices anything."""
    sample_tasks.create_table(world)
    with sample_tasks.workers(world, *WORKERS), others(world) as ids:
        for _ in turns(seconds, TAKEN_OVER_SECONDS):
            ids.append(freeze_one(world))
    if world.journal.hits < world.journal.aimed:
        world.journal.complain("no worker was frozen inside its transaction")


@storm(
    "long-transaction", "a healthy job keeps its transaction open for 16 s; with --full for 40 s",
    full_seconds=FULL_LONG_SECONDS,
)  # fmt: skip
def long_transaction(world: World, random: Random, seconds: float) -> None:
    """It has its effect once, in its first attempt, and nobody else waits."""
    hold = max(LONG_SECONDS, min(FULL_LONG_SECONDS, seconds))
    sample_tasks.create_table(world)
    with sample_tasks.workers(world, *WORKERS), others(world) as ids:
        ids.append(id := sample_tasks.send_holding(world, hold))
        world.until(lambda: sample_tasks.recorded(world, [id]), 2 * hold)
    attempts = [attempt for _, attempt in world.rows(_EFFECT, id=id)]
    world.journal.note_hit(attempts == [1])
    if attempts != [1]:
        world.journal.complain(f"the long job had its effect in the attempts {attempts}, not in 1")


@storm(
    "row-lock", "somebody holds the row of a waiting order, and that of its message",
    recovery=RESTART_SECONDS,
)  # fmt: skip
def row_lock(world: World, random: Random, seconds: float) -> None:
    """One slow cook is on shift, so orders wait and their estimates change. All is published."""
    assert world.guests is not None
    with one_slow_cook(world), psycopg.connect(world.db_url) as conn, LatencyProbe(world) as probe:
        number = world.guests.order_at(world.port)
        world.until(lambda: not world.value(queries.PENDING, number=number), OPEN_SECONDS)
        row = conn.execute(_LOCK_ORDER, {"number": number}).fetchone()
        world.journal.note_hit(row is not None)
        if row is not None:
            conn.execute(_LOCK_MESSAGE, {"id": row[0]})
        time.sleep(max(ROW_LOCK_SECONDS, seconds))
        conn.rollback()
    record_publishing(world, probe)
    if not world.journal.hits:
        world.journal.complain("the order was not waiting when its row was to be locked")


def freeze_one(world: World) -> str:
    """Freeze a worker inside a job's transaction until another has done the job; the job's id."""
    before = {name: world.logged(TRANSACTION_OPEN, name) for name in WORKERS}
    id = sample_tasks.send_holding(world, HOLD_SECONDS)
    done = lambda: sample_tasks.recorded(world, [id])  # noqa: E731
    name = await_transaction(world, before)
    if name is not None:
        world.freeze(name)
        began = time.monotonic()
        world.journal.note_hit(not done())
        world.until(done, 2 * TAKEN_OVER_SECONDS)
        took = time.monotonic() - began
        world.journal.record_latency("a job taken over", took, TAKEN_OVER_SECONDS)
        world.thaw(name)
    else:
        world.journal.note_hit(False)
    world.until(done, TAKEN_OVER_SECONDS)
    return id


def await_transaction(world: World, before: dict[str, int]) -> str | None:
    """The worker that has opened a job's transaction since; None when none does for too long."""
    found: list[str] = []

    def opened() -> bool:
        found[:] = [each for each in before if world.logged(TRANSACTION_OPEN, each) > before[each]]
        return bool(found)

    return found[0] if world.until(opened, OPEN_SECONDS) else None


@contextmanager
def others(world: World) -> Iterator[list[str]]:
    """Other tasks, orders and events for the time of a block, and how soon they had their effect.

    Gives a list for the ids of the scenario's own tasks, which are judged with the others.
    """
    own: list[str] = []
    pings: list[str] = []
    stopping = threading.Event()

    def ping() -> None:
        while not stopping.wait(PING_SECONDS):
            pings.extend(sample_tasks.send(world, 1))

    thread = threading.Thread(target=ping, daemon=True)
    since = world.value("select clock_timestamp()")
    with LatencyProbe(world) as probe:
        thread.start()
        try:
            yield own
        finally:
            stopping.set()
            thread.join()
        begun = [seconds for (seconds,) in world.rows(queries.BEGUN, since=since)]
        world.until(
            lambda: sample_tasks.recorded(world, own + pings) == len(own + pings), OPEN_SECONDS
        )
    record_publishing(world, probe)
    tasks = percentile(sample_tasks.latencies(world, pings))
    world.journal.record_latency("99 of 100 other tasks done", tasks, OTHERS_SECONDS)
    world.journal.record_latency("99 of 100 orders begun", percentile(begun), OTHERS_SECONDS)
    sample_tasks.judge(world, own + pings)


@contextmanager
def one_slow_cook(world: World) -> Iterator[None]:
    """One cook who takes a minute for an order, in place of all others, for the time of a block."""
    name = "slow_cook"
    with without_cooks(world), world.extra({name: process_specs.cook(name, SLOW_COOK_SECONDS)}):
        world.until(lambda: world.value(queries.COOKING, name=name), OPEN_SECONDS)
        yield
