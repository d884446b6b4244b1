"""Waits for a condition, and repeats an action in the background."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], seconds: float, pause: float = 0.05) -> T:
    """Call `condition` every `pause` seconds until its result is true; returns its last result.

    That is false if the condition was not met within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(pause)
    return found


@contextmanager
def repeating(action: Callable[[], object], pause: float) -> Iterator[None]:
    """Call `action` in a thread, every time after `pause` seconds, until the block ends."""
    stopping = threading.Event()

    def loop() -> None:
        while not stopping.wait(pause):
            action()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
