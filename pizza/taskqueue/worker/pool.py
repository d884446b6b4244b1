"""Several workers in one process, for jobs that mostly wait for other programs.

Each worker has its own threads and connections, as if it were a process. They share the program in
memory, one relay and the shutdown request.
"""

import threading
from dataclasses import replace

from pizza.taskqueue.app import App
from pizza.taskqueue.lifecycle import Shutdown
from pizza.taskqueue.worker.context import WorkerOptions
from pizza.taskqueue.worker.worker import Worker

_TICK_S = 0.5


class WorkerPool:
    """`concurrency` workers with the same options, named `options.name`.1, .2 and so on."""

    def __init__(
        self, app: App, db_url: str, broker_url: str, options: WorkerOptions, concurrency: int
    ) -> None:
        self._failures: list[BaseException] = []
        numbered = (
            replace(options, name=f"{options.name}.{number}", relay=options.relay and number == 1)
            for number in range(1, concurrency + 1)
        )
        self._workers = [Worker(app, db_url, broker_url, each) for each in numbered]

    def run(self) -> None:
        """Run until SIGTERM, SIGHUP or SIGINT, or until a worker ends. Main thread only.

        Raises the error that ended a worker.
        """
        stop = Shutdown()
        stop.install_handlers()
        threads = [
            threading.Thread(target=self._run_worker, args=(each,), name=f"worker {n}", daemon=True)
            for n, each in enumerate(self._workers, 1)
        ]
        for thread in threads:
            thread.start()
        while not stop.is_set() and all(thread.is_alive() for thread in threads):
            stop.wait(_TICK_S)
        for worker in self._workers:
            worker.stop()
        for thread in threads:
            thread.join()  # each worker ends within its grace period
        stop.ignore_signals()
        if self._failures:
            raise self._failures[0]

    def _run_worker(self, worker: Worker) -> None:
        try:
            worker.run_until_stopped()
        except BaseException as failure:
            self._failures.append(failure)
