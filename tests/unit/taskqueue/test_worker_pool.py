"""A worker pool that loses one of its workers ends as a whole, with the reason."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from typing import ClassVar

import pytest

from pizza.taskqueue import App
from pizza.taskqueue.worker import pool
from pizza.taskqueue.worker.context import WorkerOptions
from pizza.taskqueue.worker.pool import WorkerPool


class FakeWorker:
    """Works until it is stopped; the second one fails."""

    made: ClassVar[list[FakeWorker]] = []

    def __init__(self, app: object, db_url: str, broker_url: str, options: WorkerOptions) -> None:
        self.options = options
        self.stopped = threading.Event()
        self.made.append(self)

    def run_until_stopped(self) -> None:
        if self.options.name.endswith(".2"):
            raise RuntimeError("the second one fails")
        self.stopped.wait(30)

    def stop(self) -> None:
        self.stopped.set()


@pytest.fixture
def signals() -> Iterator[None]:
    """The signal handlers are as before when the test ends."""
    former = [(each, signal.getsignal(each)) for each in (signal.SIGTERM, signal.SIGINT)]
    yield
    for each, handler in former:
        signal.signal(each, handler)


def test_a_worker_that_fails_ends_its_pool(signals: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "Worker", FakeWorker)
    with pytest.raises(RuntimeError, match="second"):
        WorkerPool(App("sample"), "", "", WorkerOptions(name="w", queues=["q"]), 3).run()
    assert all(worker.stopped.is_set() for worker in FakeWorker.made)
    assert [worker.options.name for worker in FakeWorker.made] == ["w.1", "w.2", "w.3"]
    assert [worker.options.relay for worker in FakeWorker.made] == [True, False, False]
