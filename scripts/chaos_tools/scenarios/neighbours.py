"""Neighbours that do harm: a process with a wrong address, a second tracking, other programs."""

import time
from collections import Counter
from dataclasses import dataclass
from random import Random
from uuid import uuid4

import amqp
from kombu import Connection

from chaos_tools import process_specs
from chaos_tools.checks.dead_letters import dead_letters
from chaos_tools.checks.latency_probe import LatencyProbe
from chaos_tools.checks.queues import DepthMonitor
from chaos_tools.cluster import World
from chaos_tools.process_specs import SUBSCRIBER
from chaos_tools.scenario import RECOVERY_SECONDS, RESTART_SECONDS, storm, turns
from chaos_tools.scenarios.kill_points import await_leader, leader_session
from chaos_tools.shift import without_cooks
from chaos_tools.workload.foreign_messages import ODDITIES, customer_of, order
from devservices import free_port
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

FOREIGN, SOUND = 1100, 100
SEEN_SECONDS = 8.0
RETURNED_SECONDS = 5.0
SETTLED_SECONDS = 120.0
_ARRIVED = "select exists (select from tracking_event where occurred_at > %(moment)s)"


@storm(
    "wrong-address", "the process that publishes was started with a wrong address of RabbitMQ",
    recovery=ADDRESS_SECONDS + RECOVERY_SECONDS,
)  # fmt: skip
def wrong_address(world: World, random: Random, seconds: float) -> None:
    """It gives the lead back, and events are published as before."""
    stray = "stray"
    world.hire(stray, process_specs.door(free_port()), RABBITMQ=f"127.0.0.1:{free_port()}")
    try:
        world.until(lambda: world.logged("service_started", stray), READY_SECONDS)
        with LatencyProbe(world) as probe:
            let_lead(world, stray)
            probe.arrives(2 * ADDRESS_SECONDS)
            time.sleep(seconds / 2)
            world.journal.record_latency(
                "an event published, the leader being without a broker",
                max(probe.latencies()), ADDRESS_SECONDS,
            )  # fmt: skip
        leader = await_leader(world)
        if leader is None or leader[0] == stray:
            world.journal.complain(f"in the end {leader[0] if leader else 'nobody'} leads")
    finally:
        world.dismiss(stray)


@storm("two-trackings", "RabbitMQ is killed beside two tracking services, several times")
def two_trackings(world: World, random: Random, seconds: float) -> None:
    """One of them is slower to come back, by turns; events and status requests flow on."""
    names = ["tracking", "tracking_2"]
    with world.extra({"tracking_2": ["--mode=tracking-service"]}):
        world.until(lambda: world.logged("standing_by", "tracking_2"), READY_SECONDS)
        for turn in range(max(2, len(turns(seconds, RESTART_EVERY_SECONDS)))):
            slow = names[turn % 2]
            world.journal.note_struck()
            world.servers.rabbitmq.kill9()
            world.freeze(slow)
            world.servers.rabbitmq.start()
            time.sleep(HEAD_START_SECONDS)
            world.thaw(slow)
            record_flow(world)


@storm(
    "foreign-garbage", f"{FOREIGN:,} orders of other programs and no cook; then every odd property",
    recovery=RESTART_SECONDS,
)  # fmt: skip
def foreign_garbage(world: World, random: Random, seconds: float) -> None:
    """Each of them becomes an order or a dead letter with its reason; none stops a queue."""
    takeout = TYPED_QUEUES["takeout"]
    foreign = [
        Foreign(f"Foreign {number}", takeout, "order" if number < SOUND else "bad order")
        for number in range(FOREIGN)
    ]
    random.shuffle(foreign)
    with without_cooks(world), DepthMonitor(world, takeout) as monitor:
        quantity = {"order": 1, "bad order": 0}
        bodies = [order(each.customer, quantity[each.what]) for each in foreign]
        send(
            world, [(each, amqp.Message(body)) for each, body in zip(foreign, bodies, strict=True)]
        )
        time.sleep(SEEN_SECONDS)
        # The keeper may have some in hand, to look at them.
        if not world.until(lambda: monitor.depth >= len(foreign), RETURNED_SECONDS):
            world.journal.complain(f"{len(foreign) - monitor.depth} were taken out of the queue")
    odd = odd_messages()
    random.shuffle(odd)
    send(world, odd)
    foreign += [each for each, _ in odd]
    world.until(lambda: not lost(world, foreign), SETTLED_SECONDS)
    world.journal.lost += [f"{each.what} in {each.queue}" for each in lost(world, foreign)]
    counts = Counter(customer_of(body) for body, _ in dead_letters(world))
    world.journal.doubled += [
        f"dead letter of {each.what}" for each in foreign if counts[each.customer] > 1
    ]


@dataclass(frozen=True)
class Foreign:
    """A message of another program: its customer tells it from others; what it is, and where."""

    customer: str
    queue: str
    what: str


def let_lead(world: World, name: str) -> None:
    """End the leader's session while everybody else stands still, so that `name` may lead.

    A process that does not want to lead has ALONE_SECONDS for that.
    """
    session = leader_session(world)
    world.journal.note_hit(session is not None)
    for member in world.members:
        if member != name:
            world.freeze(member)
    try:
        if session is not None:
            world.rows("select pg_terminate_backend(%(pid)s)", pid=session[1])
        world.until(lambda: leader_session(world) not in (None, session), ALONE_SECONDS)
    finally:
        for member in world.members:
            if member != name:
                world.thaw(member)


def record_flow(world: World) -> None:
    """Record how long it takes from now on until tracking has an event, and answers a request."""
    moment, began = world.value("select clock_timestamp()"), time.monotonic()
    most = 2 * FLOW_SECONDS
    world.until(lambda: world.value(_ARRIVED, moment=moment), most)
    events = time.monotonic() - began
    world.journal.record_latency("events at tracking", events, FLOW_SECONDS)
    answered = status_request(world, most)
    world.journal.record_latency(
        "a status request answered", time.monotonic() - began if answered else most, FLOW_SECONDS
    )


def status_request(world: World, seconds: float) -> bool:
    """Send a status request about an unknown order; whether it is answered in so many seconds."""
    request = (
        b'{"order_number": "ORD_20200101_001", "new_status": "delivered", "changed_by": "storm"}'
    )
    with Connection(world.servers.rabbitmq.url) as link:
        channel: amqp.Channel = link.channel()
        queue = channel.queue_declare(exclusive=True).queue
        message = amqp.Message(request, reply_to=queue, message_id=str(uuid4()))
        channel.basic_publish(message, ORDERS_DIRECT, TRACKING_STATUS_KEY)
        return world.until(lambda: channel.basic_get(queue, no_ack=True) is not None, seconds)


def odd_messages() -> list[tuple[Foreign, amqp.Message]]:
    """A message for each oddity and each kind of queue."""
    queues = (
        TYPED_QUEUES["takeout"], KITCHEN_QUEUE, NOTIFICATIONS_QUEUE, TRACKING_STATUS_QUEUE,
        subscriber_queue(SUBSCRIBER).name, STATION_QUEUES[0],
    )  # fmt: skip
    found = []
    for number, oddity in enumerate(ODDITIES):
        for queue in queues:
            foreign = Foreign(f"Odd {number} in {queue}", queue, oddity.what)
            found.append((foreign, oddity.message(foreign.customer)))
    return found


def send(world: World, messages: list[tuple[Foreign, amqp.Message]]) -> None:
    """Publish each to its queue; the broker has confirmed all of them when this returns."""
    options = {"confirm_publish": True}
    with Connection(world.servers.rabbitmq.url, transport_options=options) as link:
        channel: amqp.Channel = link.channel()
        for foreign, message in messages:
            channel.basic_publish_confirm(message, "", foreign.queue)


def lost(world: World, foreign: list[Foreign]) -> list[Foreign]:
    """Those that are neither an order nor a dead letter with a reason."""
    known = {name for (name,) in world.rows("select customer_name from orders")}
    known |= {
        name for body, reason in dead_letters(world) if reason and (name := customer_of(body))
    }
    return [each for each in foreign if each.customer not in known]
