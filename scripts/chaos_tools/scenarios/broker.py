"""RabbitMQ killed, wiped, hung, or without its queues."""

import time
from random import Random

from chaos_tools.checks import queries
from chaos_tools.cluster import ChaosCluster
from chaos_tools.faults import crash, hang
from chaos_tools.scenario import repetitions, scenario
from pizza.topology import ORDERS_TOPIC, STATION_QUEUES, TYPED_QUEUES

HANG_SECONDS = 30.0
PAUSE_SECONDS = 2.0
WAITING = 40
LAST_CONFIRMS_SECONDS = 1.0


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


def wipe(cluster: ChaosCluster) -> None:
    """kill -9 of RabbitMQ, and its disk with it; records the notifications that may be lost."""
    cluster.record_injection()
    cluster.servers.rabbitmq.kill9()
    time.sleep(LAST_CONFIRMS_SECONDS)
    cluster.lost_at_broker |= {id for (id,) in cluster.rows(queries.CONFIRMED)}
    cluster.servers.rabbitmq.wipe()


@scenario(f"SIGSTOP of RabbitMQ for {HANG_SECONDS:.0f} s")
def broker_hung(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """Orders are accepted meanwhile."""
    hang(cluster, cluster.servers.rabbitmq, random, min(HANG_SECONDS, seconds))


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
