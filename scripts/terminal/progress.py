"""Progress on a terminal or in a log: what is being done, that it goes on, how long it took."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

QUIET_SECONDS = 0.7
REPEAT_SECONDS = 10.0


@contextmanager
def step(what: str) -> Iterator[None]:
    """Print a step, its progress, and how long it took.

    On a terminal the seconds tick on one line. Elsewhere a line says that it has begun, one more
    comes every ten seconds, and steps shorter than a second get one line in all.
    """
    began = time.monotonic()
    over = threading.Event()
    watch = _tick if sys.stdout.isatty() else _repeat
    ticker = threading.Thread(target=watch, args=(what, began, over), daemon=True)
    ticker.start()
    result = "failed after"
    try:
        yield
        result = "done in"
    finally:
        over.set()
        ticker.join()
        start = "\r\x1b[K" if sys.stdout.isatty() else ""
        print(f"{start}  {what}: {result} {time.monotonic() - began:.1f} s", flush=True)


def _tick(what: str, began: float, over: threading.Event) -> None:
    while True:
        print(f"\r\x1b[K  {what} … {time.monotonic() - began:.0f} s", end="", flush=True)
        if over.wait(1):
            return


def _repeat(what: str, began: float, over: threading.Event) -> None:
    if over.wait(QUIET_SECONDS):
        return
    print(f"  {what} …", flush=True)
    while not over.wait(REPEAT_SECONDS):
        print(f"  {what} … {time.monotonic() - began:.0f} s", flush=True)
