"""PostgreSQL killed, hung, or refusing to write."""

import time
from random import Random

from chaos_tools.cluster import ChaosCluster
from chaos_tools.faults import crash, hang
from chaos_tools.scenario import scenario

HANG_SECONDS = 20.0


@scenario("kill -9 of PostgreSQL, three times", expect_no_errors=False)
def database_killed(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """It recovers from its log each time."""
    crash(cluster, cluster.servers.postgres, random, seconds)


@scenario(f"SIGSTOP of PostgreSQL for {HANG_SECONDS:.0f} s", expect_no_errors=False)
def database_hung(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """Requests are answered with 503 meanwhile."""
    hang(cluster, cluster.servers.postgres, random, min(HANG_SECONDS, seconds))


@scenario("PostgreSQL refuses every write, as with a full disk", expect_no_errors=False)
def read_only(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """Reads are answered."""
    cluster.record_injection()
    cluster.servers.postgres.set_read_only(True)
    time.sleep(random.uniform(0.3, 0.6) * seconds)
    cluster.servers.postgres.set_read_only(False)
    cluster.record_recovery()
