"""The example in README.md ("Write a task") works as it stands there."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

from pizza.taskqueue.worker.context import WorkerOptions
from pizza.taskqueue.worker.worker import Worker

from ...support.taskqueue.worker_process import Harness
from ...support.waiting import wait_until

README = Path(__file__).resolve().parents[3] / "README.md"
QUEUE = "invoices"


def example() -> str:
    """The first block of Python below the heading."""
    found = re.search(r"\n## Write a task\n+```python\n([^`]*)```", README.read_text("utf-8"))
    assert found is not None
    return found[1]


def test_the_example_of_the_readme_has_its_effect(harness: Harness) -> None:
    harness.conn.execute(
        "create table purchase (id integer, invoiced boolean not null default false)"
    )
    with harness.broker() as channel:
        channel.queue_delete(QUEUE)  # no process has declared it
    names: dict[str, Any] = {"conn": harness.conn}
    exec(example(), names)
    assert harness.states() == {"scheduled": 1}
    harness.conn.execute("update message set available_at = now()")

    options = WorkerOptions(name="clerk", queues=[QUEUE])
    worker = Worker(names["app"], harness.db_url, harness.broker_url, options)
    thread = threading.Thread(target=worker.run_until_stopped)
    thread.start()
    try:
        invoiced = "select id, invoiced from purchase"
        wait_until(lambda: harness.rows(invoiced) == [(7, True)], 20, "purchase 7 is invoiced")
        harness.await_all_done()
    finally:
        worker.stop()
        thread.join(30)
        with harness.broker() as channel:
            channel.queue_delete(QUEUE)
    assert not thread.is_alive()
