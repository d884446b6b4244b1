"""The network between the processes and their servers: cut, slow, silent."""

import time
from itertools import product
from random import Random

from chaos_tools.cluster import ChaosCluster
from chaos_tools.scenario import scenario
from devservices import Proxy

CUTS = 12
MOST_BYTES = 20_000  # that a connection may still carry before it is cut
MOST_DELAY_SECONDS = 0.02


@scenario(
    "connections cut at any byte, delayed and black-holed", use_proxy=True, expect_no_errors=False
)
def network(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """A third of the time each, on the way to either server."""
    for turn in range(CUTS):
        time.sleep(random.uniform(0.5, 1.5) * seconds / 3 / CUTS)
        proxy = random.choice(cluster.proxies)
        if turn % 2:
            proxy.reset()
        else:
            proxy.limit_data(random, MOST_BYTES)
    cluster.record_recovery()
    for proxy in cluster.proxies:
        proxy.delay = random.uniform(0.2, 1.0) * MOST_DELAY_SECONDS
    time.sleep(seconds / 3)
    for proxy in cluster.proxies:
        proxy.delay = 0.0
    for proxy in random.sample(cluster.proxies, 2):
        blackhole(cluster, proxy, seconds / 6)


@scenario(
    "black holes in one direction only, on the way to either server and back",
    use_proxy=True,
    expect_no_errors=False,
    duration_factor=2.0,
)
def one_way(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """The data of one side arrives, and that of the other side does not."""
    holes = list(product(cluster.proxies, (True, False)))
    random.shuffle(holes)
    for proxy, to_server in holes:
        pause = seconds / len(holes) / 2
        blackhole(cluster, proxy, pause, to_server=to_server, to_client=not to_server)
        time.sleep(pause)


def blackhole(cluster: ChaosCluster, proxy: Proxy, seconds: float, **directions: bool) -> None:
    """Let nothing through a proxy for so long. directions: as of `Proxy.blackhole`."""
    cluster.record_injection()
    proxy.blackhole(**directions)
    time.sleep(seconds)
    proxy.recover()
    cluster.record_recovery()
