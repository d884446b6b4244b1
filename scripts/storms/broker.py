"""RabbitMQ killed, wiped, hung, or robbed of its queues."""

import time
from random import Random

from amqp import Channel
from kombu import Connection

from pizza.services.topology import ORDERS_TOPIC, STATION_QUEUES, TYPED_QUEUES
from storms.outages import crash, hang
from storms.storm import storm, turns
from storms.world import World

HANG_SECONDS = 30.0
PAUSE_SECONDS = 2.0


@storm("broker-killed", "kill -9 of RabbitMQ, three times")
def broker_killed(world: World, random: Random, seconds: float) -> None:
    """Orders are taken all along."""
    crash(world, world.servers.rabbitmq, random, seconds)


# A notification that the broker had confirmed, and lost, is in the log of the order alone.
@storm("broker-wiped", "RabbitMQ loses its disk, orders waiting and cooking", excuses="unheard")
def broker_wiped(world: World, random: Random, seconds: float) -> None:
    """Topology, tickets and notifications are gone."""
    time.sleep(random.uniform(0.1, 0.3) * seconds)
    world.servers.rabbitmq.wipe()
    world.note_healed()
    time.sleep(seconds / 2)


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
            world.note_healed()
            time.sleep(PAUSE_SECONDS)
