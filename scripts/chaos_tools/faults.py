"""Faults of either server: it crashes, or it hangs."""

import time
from random import Random

from chaos_tools.cluster import ChaosCluster
from devservices.server import PrivateServer

CRASHES = 3
MOST_DOWN_SECONDS = 2.0


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
