"""Harmful neighbours: a process with a wrong address, a second tracking, other programs."""

import time
from collections import Counter
from dataclasses import dataclass
from random import Random
from uuid import uuid4

import amqp

from chaos_tools import process_specs
from chaos_tools.checks.queues import dead_letters, monitor_depth
from chaos_tools.cluster import ChaosCluster
from chaos_tools.process_specs import SUBSCRIBER
from chaos_tools.scenario import RECOVERY_SECONDS, RESTART_SECONDS, repetitions, scenario
from chaos_tools.scenarios.kill_points import leader_session, wait_for_leader
from chaos_tools.workload.external_messages import ANOMALIES, customer_of, order
from devservices import free_port, wait_until
from pizza.topology import (
    KITCHEN_QUEUE,
    NOTIFICATIONS_QUEUE,
    ORDERS_DIRECT,
    STATION_QUEUES,
    TRACKING_STATUS_KEY,
    TRACKING_STATUS_QUEUE,
    TYPED_QUEUES,
    subscriber_queue,
)

ADDRESS_SECONDS = 10.0  # a leader without a broker is followed by another
ALONE_SECONDS = 1.5
READY_SECONDS = 30.0

FLOW_SECONDS = 5.0
RESTART_EVERY_SECONDS = 6.0
HEAD_START_SECONDS = 1.5

EXTERNAL, VALID = 1100, 100
SEEN_SECONDS = 8.0
RETURNED_SECONDS = 5.0
SETTLED_SECONDS = 120.0
_ARRIVED = "select exists (select from tracking_event where occurred_at > %(moment)s)"


@scenario(
    "the process that publishes was started with a wrong address of RabbitMQ",
    recovery=ADDRESS_SECONDS + RECOVERY_SECONDS,
)
def wrong_address(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """Another process leads soon, and events are published as before."""
    stray = "stray"
    cluster.start_process(
        stray, process_specs.small_order_service(free_port()), RABBITMQ=f"127.0.0.1:{free_port()}"
    )
    try:
        wait_until(lambda: cluster.log_count("service_started", stray), READY_SECONDS)
        with cluster.probe() as probe:
            make_leader(cluster, stray)
            probe.arrives(2 * ADDRESS_SECONDS)
            time.sleep(seconds / 2)
            cluster.report.record_latency(
                "an event published, the leader being without a broker",
                max(probe.latencies()),
                ADDRESS_SECONDS,
            )
        leader = wait_for_leader(cluster)
        if leader is None or leader[0] == stray:
            cluster.report.fail(f"in the end {leader[0] if leader else 'no process'} leads")
    finally:
        cluster.stop_process(stray)


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


@scenario(
    f"{EXTERNAL:,} orders of other programs and no cook; then every odd property",
    recovery=RESTART_SECONDS,
)
def foreign_garbage(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """Each of them becomes an order or a dead letter with its reason; none stops a queue."""
    takeout = TYPED_QUEUES["takeout"]
    external = [
        ExternalMessage(f"External {number}", takeout, "order" if number < VALID else "bad order")
        for number in range(EXTERNAL)
    ]
    random.shuffle(external)
    with cluster.without_cooks(), monitor_depth(cluster, takeout) as monitor:
        quantity = {"order": 1, "bad order": 0}
        bodies = [order(each.customer, quantity[each.what]) for each in external]
        send(
            cluster,
            [(each, amqp.Message(body)) for each, body in zip(external, bodies, strict=True)],
        )
        time.sleep(SEEN_SECONDS)
        # The keeper may have received some, to check them.
        if not wait_until(lambda: monitor.depth >= len(external), RETURNED_SECONDS):
            cluster.report.fail(f"{len(external) - monitor.depth} were taken out of the queue")
    odd = anomalous_messages()
    random.shuffle(odd)
    send(cluster, odd)
    external += [each for each, _ in odd]
    wait_until(lambda: not lost(cluster, external), SETTLED_SECONDS)
    cluster.report.lost += [f"{each.what} in {each.queue}" for each in lost(cluster, external)]
    counts = Counter(customer_of(body) for body, _ in dead_letters(cluster))
    cluster.report.doubled += [
        f"dead letter of {each.what}" for each in external if counts[each.customer] > 1
    ]


@dataclass(frozen=True)
class ExternalMessage:
    """A message of another program, identified by its customer; what it is, and its queue."""

    customer: str
    queue: str
    what: str


def make_leader(cluster: ChaosCluster, name: str) -> None:
    """End the leader's session while all other processes are frozen, so that `name` leads.

    A process that does not want to lead has ALONE_SECONDS for that.
    """
    session = leader_session(cluster)
    cluster.report.record_attempt(session is not None)
    for managed in cluster.processes:
        if managed != name:
            cluster.freeze(managed)
    try:
        if session is not None:
            cluster.rows("select pg_terminate_backend(%(pid)s)", pid=session[1])
        wait_until(lambda: leader_session(cluster) not in (None, session), ALONE_SECONDS)
    finally:
        for managed in cluster.processes:
            if managed != name:
                cluster.thaw(managed)


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


def anomalous_messages() -> list[tuple[ExternalMessage, amqp.Message]]:
    """A message for each anomaly and each kind of queue."""
    queues = (
        TYPED_QUEUES["takeout"],
        KITCHEN_QUEUE,
        NOTIFICATIONS_QUEUE,
        TRACKING_STATUS_QUEUE,
        subscriber_queue(SUBSCRIBER).name,
        STATION_QUEUES[0],
    )
    found = []
    for number, anomaly in enumerate(ANOMALIES):
        for queue in queues:
            external = ExternalMessage(f"Odd {number} in {queue}", queue, anomaly.what)
            found.append((external, anomaly.message(external.customer)))
    return found


def send(cluster: ChaosCluster, messages: list[tuple[ExternalMessage, amqp.Message]]) -> None:
    """Publish each to its queue; the broker has confirmed all of them when this returns."""
    with cluster.broker_channel() as channel:
        for external, message in messages:
            channel.basic_publish_confirm(message, "", external.queue)


def lost(cluster: ChaosCluster, external: list[ExternalMessage]) -> list[ExternalMessage]:
    """Those that are neither an order nor a dead letter with a reason."""
    known = {name for (name,) in cluster.rows("select customer_name from orders")}
    known |= {
        name for body, reason in dead_letters(cluster) if reason and (name := customer_of(body))
    }
    return [each for each in external if each.customer not in known]
