"""RabbitMQ killed, wiped, hung, or robbed of its queues."""

import time
from random import Random

from amqp import Channel
from kombu import Connection

from pizza.services.topology import ORDERS_TOPIC, STATION_QUEUES, TYPED_QUEUES
from storms.storm import storm, turns
from storms.world import World

KILLS = 3
HANG_SECONDS = 30.0
DOWN_SECONDS = 2.0


@storm("broker-killed", "kill -9 of RabbitMQ, three times")
def broker_killed(world: World, random: Random, seconds: float) -> None:
    """It comes back with what was on its disk."""
    for _ in range(KILLS):
        world.servers.rabbitmq.kill9()
        time.sleep(random.uniform(0.2, 1.0) * DOWN_SECONDS)
        world.servers.rabbitmq.start()
        world.note_healed()
        time.sleep(seconds / KILLS)


# A notification that the broker had confirmed, and lost, is in the log of the order alone.
@storm("broker-wiped", "RabbitMQ loses its disk, orders waiting and cooking", excuses="missing")
def broker_wiped(world: World, random: Random, seconds: float) -> None:
    """Topology, tickets and notifications are gone."""
    time.sleep(random.uniform(0.1, 0.3) * seconds)
    world.servers.rabbitmq.wipe()
    world.note_healed()
    time.sleep(seconds / 2)


@storm("broker-hung", "SIGSTOP of RabbitMQ for 30 s")
def broker_hung(world: World, random: Random, seconds: float) -> None:
    """Connections stand, and nothing comes out of them."""
    world.servers.rabbitmq.pause()
    time.sleep(min(HANG_SECONDS, seconds))
    world.servers.rabbitmq.resume()
    world.note_healed()
    time.sleep(random.uniform(0.5, 1.5))


@storm("queue-deleted", "queues and bindings deleted by hand")
def queue_deleted(world: World, random: Random, seconds: float) -> None:
    """By turns a queue with all that waits in it, and only the way into one."""
    kinds = list(TYPED_QUEUES)
    with Connection(world.servers.rabbitmq.url) as link:
        channel: Channel = link.channel()
        for turn in turns(seconds, DOWN_SECONDS):
            kind = random.choice(kinds)
            if turn % 2:
                channel.queue_unbind(TYPED_QUEUES[kind], ORDERS_TOPIC, f"kitchen.{kind}.*")
            else:
                channel.queue_delete(random.choice([*TYPED_QUEUES.values(), *STATION_QUEUES]))
            world.note_healed()
            time.sleep(DOWN_SECONDS)
