"""Many messages that wait, and messages that the broker takes nowhere."""

import time
from random import Random

from chaos_tools.checks import queues
from chaos_tools.checks.dead_letters import dead_letters
from chaos_tools.checks.latency_probe import LatencyProbe, record_publishing
from chaos_tools.cluster import World
from chaos_tools.scenario import storm
from chaos_tools.scenarios.broker import wipe
from chaos_tools.workload import sample_tasks
from chaos_tools.workload.task_worker import QUEUE
from pizza.topology import ORDERS_DIRECT

OLD_SECONDS = 7.0
BURST = 2000
OBSERVED_SECONDS = 5.0
WORKED_OFF_SECONDS = 120.0

WAITING, WAITING_FULL = 30_000, 300_000
FULL_WIPED_SECONDS = 120.0
SENT_SECONDS = 90.0
DEPTH_SECONDS = 0.5
RESTORED_SECONDS = 60.0
REREAD_SECONDS = 5.0

IMPOSSIBLE = UNROUTABLE = 60
GOOD_BATCH = 20  # 20 times a second
UNROUTABLE_SECONDS = 12.0
DROPPED_SECONDS = 10.0
# What an operator may find in the log when messages are sent again.
_REPUBLISHED = ("messages_sent_again", "messages_republished")

_UNSENT_TASKS = "select count(*) from message where queue = %(queue)s and state <> 'sent'"
_IDS = "select id::text from message where queue = %(queue)s"
_REMOVE = "delete from message where queue = %(queue)s returning id"
_EVENTS = """
select outbox_event(gen_random_uuid(), coalesce(%(exchange)s, 'storm_missing_' || n),
                    'storm nobody', convert_to('"storm event ' || n || '"', 'UTF8'))
from generate_series(1, %(count)s) n
"""
_LEFT = (
    "select count(*) from message where routing_key = 'storm nobody' and exchange = %(exchange)s"
)
_REMOVE_EVENTS = "delete from message where routing_key = 'storm nobody' returning body, exchange"


@storm("backlog-burst", f"{BURST:,} messages at once behind one that waits already; none is lost")
def backlog_burst(world: World, random: Random, seconds: float) -> None:
    """The broker loses nothing, so nothing is thrown away and nothing is sent again."""
    sample_tasks.create_table(world)
    before = republished(world)
    ids = sample_tasks.send(world, 1)
    time.sleep(OLD_SECONDS)
    with LatencyProbe(world) as probe, queues.DepthMonitor(world, QUEUE) as monitor:
        ids += sample_tasks.send(world, BURST)
        world.until(lambda: not world.value(_UNSENT_TASKS, queue=QUEUE), SENT_SECONDS)
        time.sleep(max(OBSERVED_SECONDS, seconds - OLD_SECONDS))
    record_publishing(world, probe)
    if monitor.thrown_away:
        world.journal.complain(f"{monitor.thrown_away} good deliveries were thrown away")
    if again := republished(world) - before:
        world.journal.complain(f"messages were sent again {again} times, and none was lost")
    with sample_tasks.workers(world, "burst_1", "burst_2"):
        world.until(lambda: sample_tasks.recorded(world, ids) == len(ids), WORKED_OFF_SECONDS)
    sample_tasks.judge(world, ids)


@storm(
    "backlog-wiped",
    f"RabbitMQ loses its disk and {WAITING:,} messages; with --full {WAITING_FULL:,}",
    full_seconds=FULL_WIPED_SECONDS,
)
def backlog_wiped(world: World, random: Random, seconds: float) -> None:
    """All of them are there again within a minute, and new events are published meanwhile."""
    count = WAITING_FULL if seconds >= FULL_WIPED_SECONDS else WAITING
    sample_tasks.create_table(world)
    ids = set(sample_tasks.send(world, count))
    if not world.until(lambda: queues.depth(world, QUEUE) >= count, SENT_SECONDS, DEPTH_SECONDS):
        world.journal.complain(f"{count} messages were not published in {SENT_SECONDS:g} s")
    wipe(world)
    world.servers.rabbitmq.start()
    world.journal.note_healed()
    began = time.monotonic()
    with LatencyProbe(world) as probe:
        world.until(lambda: queues.depth(world, QUEUE) >= count, RESTORED_SECONDS, DEPTH_SECONDS)
        restored = time.monotonic() - began
    world.journal.record_latency(f"{count:,} messages there again", restored, RESTORED_SECONDS)
    record_publishing(world, probe)
    world.journal.lost += [f"task {id}" for id in sorted(missing(world, ids))]
    world.rows(_REMOVE, queue=QUEUE)
    queues.purge(world, QUEUE)


@storm(
    "unroutable", f"{IMPOSSIBLE} events to missing exchanges, {UNROUTABLE} that nobody is bound for"
)
def unroutable(world: World, random: Random, seconds: float) -> None:
    """Good events are published on time; what cannot be published is not forgotten.

    An event that nobody is bound for is dropped; one to a missing exchange waits, or is a dead
    letter, until somebody takes it away.
    """
    with LatencyProbe(world, batch=GOOD_BATCH) as probe:
        world.rows(_EVENTS, exchange=None, count=IMPOSSIBLE)
        world.rows(_EVENTS, exchange=ORDERS_DIRECT, count=UNROUTABLE)
        time.sleep(max(UNROUTABLE_SECONDS, seconds))
    record_publishing(world, probe)
    dropped = lambda: not world.value(_LEFT, exchange=ORDERS_DIRECT)  # noqa: E731
    if not world.until(dropped, DROPPED_SECONDS):
        world.journal.complain("events that nobody is bound for are still in the outbox")
    kept = [
        bytes(body) for body, exchange in world.rows(_REMOVE_EVENTS) if exchange != ORDERS_DIRECT
    ]
    kept += [body for body, reason in dead_letters(world) if reason]
    for number in range(1, IMPOSSIBLE + 1):
        if f'"storm event {number}"'.encode() not in kept:
            world.journal.lost.append(f"event {number} to a missing exchange")


def missing(world: World, ids: set[str]) -> set[str]:
    """Those of the messages that are not in the queue, and do not come within a few seconds.

    While they are read the queue looks empty, so it is read rarely.
    """
    for pause in (REREAD_SECONDS, REREAD_SECONDS, 0.0):
        found = {message.properties["message_id"] for message in queues.read(world, QUEUE)}
        if ids <= found:
            break
        time.sleep(pause)
    return ids - found


def republished(world: World) -> int:
    """How often the log says that messages were sent again."""
    return sum(world.logged(action) for action in _REPUBLISHED)
