"""Services of a process: a deferred service."""

from __future__ import annotations

from pizza.taskqueue.service import DeferredService


class FakeService:
    """Runs from start to stop."""

    def __init__(self) -> None:
        self.runs = False

    def start(self) -> None:
        self.runs = True

    def stop(self, timeout: float) -> None:
        self.runs = False

    def is_alive(self) -> bool:
        return self.runs


def test_a_service_that_has_yet_to_start_counts_as_alive() -> None:
    deferred = DeferredService(FakeService())
    deferred.start()
    assert deferred.is_alive()


def test_a_started_service_is_alive_while_it_runs() -> None:
    service = FakeService()
    deferred = DeferredService(service)
    deferred.start_now()
    assert service.runs and deferred.is_alive()
    service.runs = False
    assert not deferred.is_alive()


def test_a_service_that_never_started_is_not_alive_after_stop() -> None:
    deferred = DeferredService(FakeService())
    deferred.start()
    deferred.stop(0)
    assert not deferred.is_alive()
