"""Faults of RabbitMQ and PostgreSQL: killed, hung, wiped, without queues, or refusing to write."""

import time
from random import Random
from uuid import uuid4

import amqp

from chaos_tools import process_specs
from chaos_tools.checks import queries
from chaos_tools.cluster import ChaosCluster
from chaos_tools.scenario import repetitions, scenario
from devservices import wait_until
from devservices.server import PrivateServer
from pizza.topology import (
    ORDERS_DIRECT,
    ORDERS_TOPIC,
    STATION_QUEUES,
    TRACKING_STATUS_KEY,
    TYPED_QUEUES,
)

CRASHES = 3
MOST_DOWN_SECONDS = 2.0
BROKER_HANG_SECONDS, DATABASE_HANG_SECONDS = 30.0, 20.0
PAUSE_SECONDS = 2.0
WAITING = 40
LAST_CONFIRMS_SECONDS = 1.0

READY_SECONDS = 30.0
FLOW_SECONDS = 5.0
RESTART_EVERY_SECONDS = 6.0
HEAD_START_SECONDS = 1.5
_ARRIVED = "select exists (select from tracking_event where occurred_at > %(moment)s)"


@scenario("kill -9 of RabbitMQ, three times")
def broker_killed(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """Orders are accepted meanwhile."""
    crash(cluster, cluster.servers.rabbitmq, random, seconds)


@scenario("RabbitMQ loses its disk, orders waiting and cooking")
def broker_wiped(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """Topology, order messages and notifications are gone.

    Order messages are sent again. A notification that the broker had confirmed and no subscriber
    had received is lost; `wipe` records which ones those are.
    """
    time.sleep(random.uniform(0.1, 0.3) * seconds)
    cluster.generator.burst(WAITING)
    wipe(cluster)
    cluster.record_recovery()
    time.sleep(seconds / 2)


@scenario(f"SIGSTOP of RabbitMQ for {BROKER_HANG_SECONDS:.0f} s")
def broker_hung(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """Orders are accepted meanwhile."""
    hang(cluster, cluster.servers.rabbitmq, random, min(BROKER_HANG_SECONDS, seconds))


@scenario("queues and bindings deleted manually")
def queue_deleted(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """In turns a queue with its messages, and only a binding."""
    kinds = list(TYPED_QUEUES)
    with cluster.broker_channel() as channel:
        for turn in repetitions(seconds, PAUSE_SECONDS):
            kind = random.choice(kinds)
            if turn % 2:
                channel.queue_unbind(TYPED_QUEUES[kind], ORDERS_TOPIC, f"kitchen.{kind}.*")
            else:
                channel.queue_delete(random.choice([*TYPED_QUEUES.values(), *STATION_QUEUES]))
            cluster.record_recovery()
            time.sleep(PAUSE_SECONDS)


@scenario("RabbitMQ is killed with two tracking services, several times")
def two_trackings(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """One of them reconnects later, in turns; events and status requests are handled."""
    names = ["tracking", "tracking_2"]
    with cluster.extra_processes({"tracking_2": process_specs.tracking()}):
        wait_until(lambda: cluster.log_count("standing_by", "tracking_2"), READY_SECONDS)
        for turn in range(max(2, len(repetitions(seconds, RESTART_EVERY_SECONDS)))):
            slow = names[turn % 2]
            cluster.record_injection()
            cluster.servers.rabbitmq.kill9()
            cluster.freeze(slow)
            cluster.servers.rabbitmq.start()
            time.sleep(HEAD_START_SECONDS)
            cluster.thaw(slow)
            record_flow(cluster)


@scenario("kill -9 of PostgreSQL, three times", expect_no_errors=False)
def database_killed(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """It recovers from its log each time."""
    crash(cluster, cluster.servers.postgres, random, seconds)


@scenario(f"SIGSTOP of PostgreSQL for {DATABASE_HANG_SECONDS:.0f} s", expect_no_errors=False)
def database_hung(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """Requests are answered with 503 meanwhile."""
    hang(cluster, cluster.servers.postgres, random, min(DATABASE_HANG_SECONDS, seconds))


@scenario("PostgreSQL refuses every write, as with a full disk", expect_no_errors=False)
def read_only(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """Reads are answered."""
    cluster.record_injection()
    cluster.servers.postgres.set_read_only(True)
    time.sleep(random.uniform(0.3, 0.6) * seconds)
    cluster.servers.postgres.set_read_only(False)
    cluster.record_recovery()


def crash(cluster: ChaosCluster, server: PrivateServer, random: Random, seconds: float) -> None:
    """kill -9 three times; the server restarts with the data on its disk."""
    for _ in range(CRASHES):
        cluster.record_injection()
        server.kill9()
        time.sleep(random.uniform(0.1, 1.0) * MOST_DOWN_SECONDS)
        server.start()
        cluster.record_recovery()
        time.sleep(seconds / CRASHES)


def hang(cluster: ChaosCluster, server: PrivateServer, random: Random, seconds: float) -> None:
    """SIGSTOP: connections stay open, and the server answers nothing."""
    time.sleep(random.uniform(0.0, 1.0))
    cluster.record_injection()
    server.pause()
    time.sleep(seconds)
    server.resume()
    cluster.record_recovery()


def wipe(cluster: ChaosCluster) -> None:
    """kill -9 of RabbitMQ, and its disk with it; records the notifications that may be lost."""
    cluster.record_injection()
    cluster.servers.rabbitmq.kill9()
    time.sleep(LAST_CONFIRMS_SECONDS)
    cluster.lost_at_broker |= {id for (id,) in cluster.rows(queries.CONFIRMED)}
    cluster.servers.rabbitmq.wipe()


def record_flow(cluster: ChaosCluster) -> None:
    """Record how long it takes from now on until tracking has an event, and answers a request."""
    moment, began = cluster.value("select clock_timestamp()"), time.monotonic()
    most = 2 * FLOW_SECONDS
    wait_until(lambda: cluster.value(_ARRIVED, moment=moment), most)
    events = time.monotonic() - began
    cluster.report.record_latency("events at tracking", events, FLOW_SECONDS)
    answered = status_request(cluster, most)
    cluster.report.record_latency(
        "a status request answered", time.monotonic() - began if answered else most, FLOW_SECONDS
    )


def status_request(cluster: ChaosCluster, seconds: float) -> bool:
    """Send a status request about an unknown order; whether it is answered in so many seconds."""
    request = (
        b'{"order_number": "ORD_20200101_001", "new_status": "delivered", "changed_by": "chaos"}'
    )
    with cluster.broker_channel() as channel:
        queue = channel.queue_declare(exclusive=True).queue
        message = amqp.Message(request, reply_to=queue, message_id=str(uuid4()))
        channel.basic_publish(message, ORDERS_DIRECT, TRACKING_STATUS_KEY)
        return wait_until(lambda: channel.basic_get(queue, no_ack=True) is not None, seconds)
