"""Celery and Dramatiq as kitchens: how their backlog is sent and their workers are started.

`python -m benchmarks.peers.kitchens NAME` sends the backlog of one of them, and ends.
"""

import os
import sys
from importlib import import_module
from pathlib import Path

import psycopg

from benchmarks.environment import BenchCluster
from supervisor.process_group import python

WORKERS = {
    "celery": [
        *("celery", "--quiet", "-A", "benchmarks.peers.celery_cook", "worker", "-l", "warning"),
        *("--without-gossip", "--without-mingle", "-P", "prefork", "-c"),
    ],
    "dramatiq": ["dramatiq", "benchmarks.peers.dramatiq_cook", "-t", "1", "-p"],
}


def prepare(cluster: BenchCluster, peer: str) -> None:
    """Give the peer its functions, and the orders of the backlog in its own queue."""
    cluster.conn.execute((Path(__file__).with_name("peers.sql")).read_bytes())
    cluster.conn.execute("delete from message where task is not null")
    cluster.start_process("sender", python("benchmarks.peers.kitchens", peer))
    sender = cluster.processes.pop("sender")
    if sender.process.wait(60):
        raise RuntimeError(f"{peer}'s backlog could not be sent, see {cluster.folder}/sender.log.")


def start(cluster: BenchCluster, peer: str, cooks: int) -> None:
    """Start its workers, one process for each cook."""
    command = python(*WORKERS[peer], str(cooks))
    cluster.start_process("cooks", command, dramatiq_queue_prefetch="1")


def main(peer: str) -> None:
    """Send the backlog that the database holds."""
    with psycopg.connect(os.environ["DB_URL"]) as conn:
        rows = conn.execute("select number, priority from orders order by created_at").fetchall()
    import_module(f"benchmarks.peers.{peer}_cook").send(rows)


if __name__ == "__main__":
    main(sys.argv[1])
