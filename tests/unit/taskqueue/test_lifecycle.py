"""Waking and shutdown: flags and a socket, safe from any thread and signal handler."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time

from pizza.taskqueue.lifecycle import Shutdown, Waker, wait_readable

STOPS = 3000
_STOPPED_AGAIN_AND_AGAIN = f"""
from pizza.taskqueue.lifecycle import Shutdown
for _ in range({STOPS}):
    stop = Shutdown()
    stop.install_handlers()
    print(flush=True)
    while not stop.is_set():
        stop.wait(0.00001)
"""


def test_a_wake_is_readable_once_set_and_until_cleared() -> None:
    wake = Waker()
    assert not wait_readable([wake], 0)
    for _ in range(100_000):  # however often, it never blocks
        wake.set()
    assert wait_readable([wake], 0) == {wake.fileno()}
    wake.clear()
    assert not wait_readable([wake], 0)


def test_a_wait_ends_when_another_thread_sets_it() -> None:
    wake = Waker()
    threading.Timer(0.05, wake.set).start()
    began = time.monotonic()
    wake.wait(5)
    assert time.monotonic() - began < 2


def test_a_shutdown_ends_loops_and_waits() -> None:
    stop = Shutdown()
    assert not stop.is_set()
    stop.set()
    assert stop.is_set() and wait_readable([stop.wake], 0)


def test_a_signal_at_any_moment_of_a_wait_ends_it() -> None:
    command = [sys.executable, "-c", _STOPPED_AGAIN_AND_AGAIN]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        hung = threading.Timer(120, process.kill)
        hung.start()
        for _ in process.stdout:
            until = time.perf_counter() + random.random() * 0.0003
            while time.perf_counter() < until:
                pass
            process.send_signal(signal.SIGTERM)
        hung.cancel()
        assert process.wait() == 0


def test_a_sigterm_and_a_sigint_are_one_shutdown_request() -> None:
    """As a process manager and a terminal send them, in any order and more than once."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    stop = Shutdown()
    try:
        stop.install_handlers()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            signal.raise_signal(number)
        assert stop.is_set()  # and this process is still there
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
