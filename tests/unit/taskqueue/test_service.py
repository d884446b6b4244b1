"""Parts of a process: started together, stopped together."""

from __future__ import annotations

from pizza.taskqueue.service import Later


class Part:
    """Runs from start to stop."""

    def __init__(self) -> None:
        self.runs = False

    def start(self) -> None:
        self.runs = True

    def stop(self, timeout: float) -> None:
        self.runs = False

    def is_alive(self) -> bool:
        return self.runs


def test_a_part_that_has_yet_to_begin_seems_to_run() -> None:
    later = Later(Part())
    later.start()
    assert later.is_alive()


def test_a_part_that_has_begun_runs_as_long_as_it_does() -> None:
    part = Part()
    later = Later(part)
    later.begin()
    assert part.runs and later.is_alive()
    part.runs = False
    assert not later.is_alive()


def test_a_part_that_never_began_has_ended_once_it_is_stopped() -> None:
    later = Later(Part())
    later.start()
    later.stop(0)
    assert not later.is_alive()
