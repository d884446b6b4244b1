"""Many orders, clients that hang up, many messages that wait, and some that nobody takes."""

import socket
import struct
import time
from contextlib import suppress
from random import Random

from benchmarks import sample_orders
from chaos_tools.checks import queues
from chaos_tools.cluster import ChaosCluster
from chaos_tools.scenario import FULL_SECONDS, injection_count, scenario
from chaos_tools.scenarios.servers import wipe
from chaos_tools.workload import sample_tasks
from chaos_tools.workload.sample_tasks import QUEUE
from devservices import wait_until
from pizza.topology import ORDERS_DIRECT

ORDERS = 1200
FEW = 40
HANG_UPS = 800
WHOLE = 0.25  # of the clients have sent everything before
_NO_LINGER = struct.pack("ii", 1, 0)  # close() then sends a reset instead of a farewell
_LONGEST = len("ORD_20261125_999")
_SKIP = """
select setval('order_number', greatest((select max(first) from order_day) + 990, last_value))
from order_number
"""

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

_UNSENT_TASKS = "select count(*) from message where queue = %(queue)s and state <> 'sent'"
_REMOVE = "delete from message where queue = %(queue)s returning id"
_EVENTS = """
select outbox_enqueue_event(gen_random_uuid(), coalesce(%(exchange)s, 'chaos_missing_' || n),
                    'chaos unbound', convert_to('"chaos event ' || n || '"', 'UTF8'))
from generate_series(1, %(count)s) n
"""
_LEFT = (
    "select count(*) from message where routing_key = 'chaos unbound' and exchange = %(exchange)s"
)
_REMOVE_EVENTS = "delete from message where routing_key = 'chaos unbound' returning body, exchange"


@scenario(f"{ORDERS:,} orders in a day: numbers grow to four digits")
def busy_day(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """More orders than the kitchen cooks in a minute; a short run begins at number 990."""
    count = ORDERS
    if seconds < FULL_SECONDS:
        count = FEW
        while not cluster.rows("select from order_day"):
            time.sleep(0.1)
        cluster.value(_SKIP)
    cluster.generator.burst(count)
    for number in list(cluster.generator.accepted):
        if len(number) > _LONGEST:
            cluster.report.record_attempt(True)
    if not cluster.report.hits:
        cluster.report.fail("no order has a number of four digits")


@scenario(f"{HANG_UPS} clients hang up in the middle of a request")
def hang_ups(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """At any byte of it, or behind the last one, politely or not."""
    count = injection_count(HANG_UPS, seconds)
    for _ in range(count):
        request = sample_orders.request()
        whole = random.random() < WHOLE
        said = request if whole else request[: random.randrange(len(request))]
        with suppress(OSError), socket.create_connection(("127.0.0.1", cluster.port), 5) as line:
            if random.random() < 0.5:
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            line.sendall(said)
            time.sleep(random.choice((0.0, 0.0, 0.002)))
            cluster.report.record_attempt(True)
        time.sleep(seconds / count / 2)


@scenario(f"{BURST:,} messages at once behind one that waits already; none is lost")
def backlog_burst(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """The broker loses nothing, so nothing is thrown away and nothing is sent again."""
    before = cluster.log_count("messages_sent_again")
    ids = sample_tasks.send(cluster)
    time.sleep(OLD_SECONDS)
    with cluster.measured_publishing(), queues.monitor_depth(cluster, QUEUE) as monitor:
        ids += sample_tasks.send(cluster, BURST)
        wait_until(lambda: not cluster.value(_UNSENT_TASKS, queue=QUEUE), SENT_SECONDS)
        time.sleep(max(OBSERVED_SECONDS, seconds - OLD_SECONDS))
    if monitor.removed:
        cluster.report.fail(f"{monitor.removed} good deliveries were thrown away")
    if again := cluster.log_count("messages_sent_again") - before:
        cluster.report.fail(f"messages were sent again {again} times, and none was lost")
    with sample_tasks.workers(cluster, "burst_1", "burst_2"):
        wait_until(lambda: sample_tasks.all_recorded(cluster, ids), WORKED_OFF_SECONDS)
    sample_tasks.record_results(cluster, ids)


@scenario(
    f"RabbitMQ loses its disk and {WAITING:,} messages; with --full {WAITING_FULL:,}",
    full_seconds=FULL_WIPED_SECONDS,
)
def backlog_wiped(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """All of them are there again within a minute, and new events are published meanwhile."""
    count = WAITING_FULL if seconds >= FULL_WIPED_SECONDS else WAITING
    ids = set(sample_tasks.send(cluster, count))
    if not wait_until(lambda: queues.depth(cluster, QUEUE) >= count, SENT_SECONDS, DEPTH_SECONDS):
        cluster.report.fail(f"{count} messages were not published in {SENT_SECONDS:g} s")
    wipe(cluster)
    cluster.servers.rabbitmq.start()
    cluster.record_recovery()
    began = time.monotonic()
    with cluster.measured_publishing():
        wait_until(lambda: queues.depth(cluster, QUEUE) >= count, RESTORED_SECONDS, DEPTH_SECONDS)
        restored = time.monotonic() - began
        cluster.report.record_latency(f"{count:,} messages there again", restored, RESTORED_SECONDS)
    cluster.report.lost += [f"task {id}" for id in sorted(missing(cluster, ids))]
    cluster.rows(_REMOVE, queue=QUEUE)
    with cluster.broker_channel() as channel:
        channel.queue_purge(QUEUE)


@scenario(f"{IMPOSSIBLE} events to missing exchanges, {UNROUTABLE} without a queue")
def unroutable(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """Good events are published on time; what cannot be published is not forgotten.

    An event that no queue is bound for is dropped; one to a missing exchange waits, or is a dead
    letter.
    """
    with cluster.measured_publishing(GOOD_BATCH):
        cluster.rows(_EVENTS, exchange=None, count=IMPOSSIBLE)
        cluster.rows(_EVENTS, exchange=ORDERS_DIRECT, count=UNROUTABLE)
        time.sleep(max(UNROUTABLE_SECONDS, seconds))
    dropped = lambda: not cluster.value(_LEFT, exchange=ORDERS_DIRECT)  # noqa: E731
    if not wait_until(dropped, DROPPED_SECONDS):
        cluster.report.fail("events that no queue is bound for are still in the outbox")
    kept = [
        bytes(body) for body, exchange in cluster.rows(_REMOVE_EVENTS) if exchange != ORDERS_DIRECT
    ]
    kept += [body for body, reason in queues.dead_letters(cluster) if reason]
    for number in range(1, IMPOSSIBLE + 1):
        if f'"chaos event {number}"'.encode() not in kept:
            cluster.report.lost.append(f"event {number} to a missing exchange")


def missing(cluster: ChaosCluster, ids: set[str]) -> set[str]:
    """Those of the messages that are not in the queue, and do not come within a few seconds.

    While they are read the queue looks empty, so it is read rarely.
    """
    for pause in (REREAD_SECONDS, REREAD_SECONDS, 0.0):
        found = {message.properties["message_id"] for message in queues.read(cluster, QUEUE)}
        if ids <= found:
            break
        time.sleep(pause)
    return ids - found
