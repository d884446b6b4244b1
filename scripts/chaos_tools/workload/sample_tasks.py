"""Tasks of the scenarios' own: a worker that records their effects; they are sent and counted.

    python -m chaos_tools.workload.sample_tasks NAME

The worker is one of another application on the restaurant's database and broker. It serves a queue
of the restaurant that nothing else serves in a scenario: the publisher declares it, also at a
broker that has lost its disk.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg

from chaos_tools.process_specs import LEASE_SECONDS
from devservices import wait_until
from pizza.config.settings import load
from pizza.observability import logging_config
from pizza.taskqueue import App, Job
from pizza.taskqueue.worker.context import WorkerOptions
from pizza.taskqueue.worker.worker import Worker
from pizza.topology import TOPOLOGY, WEBHOOKS_QUEUE
from supervisor.process_group import python

if TYPE_CHECKING:
    from chaos_tools.cluster import ChaosCluster  # the worker needs none

log = logging.getLogger(__name__)

MODULE = "chaos_tools.workload.sample_tasks"
QUEUE = WEBHOOKS_QUEUE
TASK = "chaos_record"
TRANSACTION_OPEN = "chaos_transaction_open"
HEARTBEAT_SECONDS = 2
READY_SECONDS = 30.0

_TABLE = """
create table if not exists chaos_effect (
    message_id  uuid not null,
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
# The ids of tasks, and how many seconds after the sending each of their effects came.
_EFFECTS = """
select sent.id, coalesce(array_agg(extract(epoch from e.recorded_at - e.sent_at)::float8)
                         filter (where e.message_id is not null), '{}')
from unnest(%(ids)s::text[]) as sent(id) left join chaos_effect e on e.message_id = sent.id::uuid
group by sent.id
"""
_RECORD = "insert into chaos_effect (message_id, attempt, sent_at) values (%s, %s, %s)"

app = App("chaos", topology=TOPOLOGY)


@app.task(TASK, queue=QUEUE)
def record(job: Job) -> None:
    """Record the effect; keep the transaction open for `seconds` of the body, unless they are 0."""
    with job.complete() as conn:
        conn.execute(_RECORD, (job.id, job.attempt, job.body["sent_at"]))
        if seconds := job.body["seconds"]:
            log.info("Transaction is open", extra={"action": TRANSACTION_OPEN})
            time.sleep(seconds)
            conn.execute("select 1")


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


def effects(cluster: ChaosCluster, ids: Collection[str]) -> dict[str, list[float]]:
    """The effects of each of these tasks: how many seconds after its sending each came."""
    return dict(cluster.rows(_EFFECTS, ids=list(ids)))


def all_recorded(cluster: ChaosCluster, ids: Collection[str]) -> bool:
    """Whether each of these tasks has had its effect."""
    return all(effects(cluster, ids).values())


def record_results(cluster: ChaosCluster, ids: Collection[str]) -> None:
    """Record which tasks had no effect, and which had more than one."""
    found = effects(cluster, ids)
    cluster.report.lost += [f"task {id}" for id in ids if not found[id]]
    cluster.report.doubled += [f"task {id}" for id in ids if len(found[id]) > 1]


def main(name: str) -> int:
    """Work until a signal arrives. DB_URL and RABBITMQ come from the environment."""
    settings = load({"mode": "kitchen-worker", "worker_name": name}, dotenv_path=None)
    logging_config.setup_logging(settings)
    options = WorkerOptions(
        name, (QUEUE,), grace=4.0, lease=LEASE_SECONDS, heartbeat=HEARTBEAT_SECONDS, relay=False
    )
    Worker(app, settings.db_url, settings.broker_url, options).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
