"""What one round of the keeper takes at the sizes that docs/guarantees.md names."""

import time
from contextlib import closing

from kombu import Queue

from benchmarks.environment import BenchCluster, BenchEnvironment
from benchmarks.results import Result, median_ms
from pizza.database.connection import connect
from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.taskqueue.outbox.rescuer import Rescuer
from pizza.taskqueue.topology import Topology
from terminal.progress import step

WORKERS, QUEUES = 1000, 200
ROUNDS = 20
TRUSTED_SECONDS = 5.0  # one that has just begun to look leaves claims alone for so long

# One session holds the locks of all workers, as a session each would need 1,000 connections.
_WORKERS = """
insert into worker_session (id, name, lease_expires_at)
select (1::bigint << 61) + n, 'worker ' || n, clock_timestamp() + interval '1 hour'
from generate_series(1, %s) n
"""
_HOLD = "select count(pg_try_advisory_lock(id)) from worker_session"
_CLAIM = """
insert into message (id, state, task, queue, exchange, routing_key, priority, body,
                     token, holder, sent_at)
select gen_random_uuid(), 'claimed', 'task', 'queue', '', 'queue', 0, '{}', 1, id, clock_timestamp()
from worker_session
"""


def measure(environment: BenchEnvironment, quick: bool) -> list[Result]:
    """Milliseconds of one look, the median of some; `quick` changes nothing."""
    with environment.cluster("housekeeping") as cluster, step("Housekeeping: workers, then queues"):
        return [_rescue(cluster), _depths(cluster)]


def _rescue(cluster: BenchCluster) -> Result:
    cluster.conn.execute(_WORKERS, (WORKERS,))
    cluster.conn.execute(_CLAIM)
    cluster.conn.execute("analyze message")
    with connect(cluster.db_url, name="bench workers") as holder:
        holder.execute(_HOLD)
        rescuer = Rescuer(cluster.conn)
        until = time.monotonic() + TRUSTED_SECONDS
        while time.monotonic() < until:
            rescuer.rescue()
            time.sleep(0.5)
        found = median_ms(rescuer.rescue, ROUNDS)
    left = cluster.value("select count(*) from message where state = 'claimed'")
    details = {"still_claimed": left}
    return Result(f"one look at {WORKERS:,} workers", found, "ms", details=details)


def _depths(cluster: BenchCluster) -> Result:
    names = [f"bench {number}" for number in range(QUEUES)]
    queues = tuple(Queue(name, durable=False, exclusive=True) for name in names)
    url = cluster.settings.broker_url
    with closing(BrokerConnection(url, name="bench", heartbeat=10)) as broker:
        broker.declare(Topology(queues=queues))
        found = median_ms(lambda: broker.queue_stats(names), ROUNDS)
    return Result(f"one look at {QUEUES} queues", found, "ms")
