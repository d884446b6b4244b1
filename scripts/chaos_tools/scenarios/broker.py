"""RabbitMQ killed, wiped, hung, or robbed of its queues."""

import time
from random import Random

from amqp import Channel
from kombu import Connection

from chaos_tools.checks import queries
from chaos_tools.cluster import World
from chaos_tools.faults import crash, hang
from chaos_tools.scenario import storm, turns
from pizza.topology import ORDERS_TOPIC, STATION_QUEUES, TYPED_QUEUES

HANG_SECONDS = 30.0
PAUSE_SECONDS = 2.0
WAITING = 40
LAST_CONFIRMS_SECONDS = 1.0


@storm("broker-killed", "kill -9 of RabbitMQ, three times")
def broker_killed(world: World, random: Random, seconds: float) -> None:
    """Orders are taken all along."""
    crash(world, world.servers.rabbitmq, random, seconds)


@storm("broker-wiped", "RabbitMQ loses its disk, orders waiting and cooking")
def broker_wiped(world: World, random: Random, seconds: float) -> None:
    """Topology, tickets and notifications are gone.

    Tickets are sent again. A notification that the broker had confirmed was there alone, if nobody
    had heard it yet; which ones those are the outbox tells, once nothing more is confirmed.
    """
    assert world.guests is not None
    time.sleep(random.uniform(0.1, 0.3) * seconds)
    world.guests.crowd(WAITING)
    wipe(world)
    world.journal.note_healed()
    time.sleep(seconds / 2)


def wipe(world: World) -> None:
    """kill -9 of RabbitMQ, and its disk with it; notifications that were there alone are noted."""
    world.journal.note_struck()
    world.servers.rabbitmq.kill9()
    time.sleep(LAST_CONFIRMS_SECONDS)
    world.journal.spilled |= {id for (id,) in world.rows(queries.CONFIRMED)}
    world.servers.rabbitmq.wipe()


@storm("broker-hung", f"SIGSTOP of RabbitMQ for {HANG_SECONDS:.0f} s")
def broker_hung(world: World, random: Random, seconds: float) -> None:
    """Orders are taken all along."""
    hang(world, world.servers.rabbitmq, random, min(HANG_SECONDS, seconds))


@storm("queue-deleted", "queues and bindings deleted by hand")
def queue_deleted(world: World, random: Random, seconds: float) -> None:
    """By turns a queue with all that waits in it, and only the way into one."""
    kinds = list(TYPED_QUEUES)
    with Connection(world.servers.rabbitmq.url) as link:
        channel: Channel = link.channel()
        for turn in turns(seconds, PAUSE_SECONDS):
            kind = random.choice(kinds)
            if turn % 2:
                channel.queue_unbind(TYPED_QUEUES[kind], ORDERS_TOPIC, f"kitchen.{kind}.*")
            else:
                channel.queue_delete(random.choice([*TYPED_QUEUES.values(), *STATION_QUEUES]))
            world.journal.note_healed()
            time.sleep(PAUSE_SECONDS)
