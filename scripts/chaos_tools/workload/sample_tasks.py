"""Sends the scenario's own tasks, which `task_worker` executes, and counts their effects."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import psycopg

from chaos_tools.cluster import ChaosCluster
from chaos_tools.workload.task_worker import QUEUE, TASK
from devservices import wait_until
from supervisor.process_group import python

MODULE = "chaos_tools.workload.task_worker"
READY_SECONDS = 30.0

_TABLE = """
create table if not exists chaos_effect (
    message_id  uuid not null,
    worker      text not null,
    attempt     integer not null,
    sent_at     timestamptz not null,
    recorded_at timestamptz not null default clock_timestamp()
)
"""
_SEND = """
with new as materialized (
    select gen_random_uuid() as id,
           json_build_object('seconds', %(hold)s::float8, 'sent_at', clock_timestamp()) as body
    from generate_series(1, %(count)s)
)
select id::text,
       outbox_enqueue_task(id, %(task)s, %(queue)s, '', %(queue)s, 0,
                           convert_to(body::text, 'UTF8'))
from new
"""
_LOST = """
select sent.id from unnest(%(ids)s::text[]) as sent(id)
where not exists (select from chaos_effect e where e.message_id = sent.id::uuid)
"""
_DOUBLED = """
select message_id::text from chaos_effect
where message_id = any(%(ids)s::uuid[]) group by message_id having count(*) > 1
"""
_COUNT = (
    "select count(distinct message_id) from chaos_effect where message_id = any(%(ids)s::uuid[])"
)
_LATENCIES = """
select extract(epoch from coalesce(e.recorded_at, clock_timestamp()) - e.sent_at)::float8
from chaos_effect e where e.message_id = any(%(ids)s::uuid[])
"""


def create_table(cluster: ChaosCluster) -> None:
    """Create the table of effects, where it is not there."""
    with psycopg.connect(cluster.db_url) as conn:
        conn.execute(_TABLE)


def send(cluster: ChaosCluster, count: int = 1, hold: float = 0.0) -> list[str]:
    """Send so many tasks; their ids. hold: seconds that each keeps its transaction open."""
    values = {"count": count, "task": TASK, "queue": QUEUE, "hold": hold}
    return [id for id, _ in cluster.rows(_SEND, **values)]


@contextmanager
def workers(cluster: ChaosCluster, *names: str) -> Iterator[list[str]]:
    """Workers for these tasks, for the time of the block; they are ready when it begins."""
    create_table(cluster)
    with cluster.extra_processes({name: python(MODULE, name) for name in names}) as started:
        wait_until(
            lambda: all(cluster.log_count("worker_connected", name) for name in started),
            READY_SECONDS,
        )
        yield started


def recorded(cluster: ChaosCluster, ids: Collection[str]) -> int:
    """How many of these tasks have had their effect."""
    return int(cluster.value(_COUNT, ids=list(ids)))


def latencies(cluster: ChaosCluster, ids: Collection[str]) -> list[float]:
    """Seconds from the sending of each task that has had its effect to that effect."""
    return [seconds for (seconds,) in cluster.rows(_LATENCIES, ids=list(ids))]


def record_results(cluster: ChaosCluster, ids: Collection[str]) -> None:
    """Record which tasks had no effect, and which had more than one."""
    cluster.report.lost += [f"task {id}" for (id,) in cluster.rows(_LOST, ids=list(ids))]
    cluster.report.doubled += [f"task {id}" for (id,) in cluster.rows(_DOUBLED, ids=list(ids))]
