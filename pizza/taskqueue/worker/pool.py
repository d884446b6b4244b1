"""Several workers in one process, for jobs that mostly wait for somebody else.

Each has threads and connections of its own, as if it were a process; what they share is the program
in memory, one relay and the wish to stop.
"""

from __future__ import annotations

import threading
from dataclasses import replace

from pizza.taskqueue.app import App
from pizza.taskqueue.lifecycle import Shutdown
from pizza.taskqueue.worker.context import WorkerOptions
from pizza.taskqueue.worker.worker import Worker

_TICK_S = 0.5


class WorkerPool:
    """`size` workers named after `options.name`, working on its queues until told to stop."""

    def __init__(
        self, app: App, db_url: str, broker_url: str, options: WorkerOptions, size: int
    ) -> None:
        self._failures: list[BaseException] = []
        self._workers = [
            Worker(app, db_url, broker_url, _member(options, number))
            for number in range(1, size + 1)
        ]

    def run(self) -> None:
        """Work until SIGTERM, SIGHUP or SIGINT. Raises what ended one of them against its will."""
        stop = Shutdown()
        stop.install_handlers()
        threads = [
            threading.Thread(target=self._work, args=(each,), name=f"worker {number}", daemon=True)
            for number, each in enumerate(self._workers, 1)
        ]
        for thread in threads:
            thread.start()
        while not stop.is_set() and all(thread.is_alive() for thread in threads):
            stop.wait(_TICK_S)
        for worker in self._workers:
            worker.stop()
        for thread in threads:
            thread.join()  # within its grace and a little: a worker sees to that itself
        stop.ignore_signals()
        if self._failures:
            raise self._failures[0]

    def _work(self, worker: Worker) -> None:
        try:
            worker.work()
        except BaseException as failure:
            self._failures.append(failure)


def _member(options: WorkerOptions, number: int) -> WorkerOptions:
    return replace(options, name=f"{options.name}.{number}", relay=options.relay and number == 1)
