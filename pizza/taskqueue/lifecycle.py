"""Stopping: signal handlers set flags only, and wake whoever waits."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_Handler = Callable[[int, FrameType | None], Any] | signal.Handlers


def handle_stop_signals(
    handler: _Handler, numbers: Iterable[signal.Signals] = STOP_SIGNALS
) -> None:
    """Set the handler of the signals that stop this process. Main thread only.

    A SIGHUP that is ignored stays ignored: nohup started this process, to outlive its terminal.
    """
    for number in numbers:
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def readable(files: Sequence[Any], timeout: float) -> set[int]:
    """The file numbers among `files` that can be read, after up to `timeout` seconds."""
    poll = select.poll()  # select() fails on numbers over 1023, which a web process may have
    for each in files:
        poll.register(each, select.POLLIN)
    return {number for number, _ in poll.poll(max(0.0, timeout) * 1000)}


class Waker:
    """Something a thread can select() on while it waits for the broker, and others can set."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)

    def fileno(self) -> int:
        """Readable once set."""
        return self._ours.fileno()

    def set(self) -> None:
        """Wake the waiting thread. Safe from any thread and from a signal handler."""
        with suppress(OSError):  # full: it is awake already; closed: it is gone
            self._theirs.send(b"!")

    def clear(self) -> None:
        """Forget all calls of `set` so far."""
        with suppress(OSError):  # empty
            while self._ours.recv(4096):
                pass

    def wait(self, timeout: float) -> None:
        """Wait until set, or for `timeout` seconds, and forget it."""
        readable([self], timeout)
        self.clear()

    def close(self) -> None:
        """Free both ends."""
        self._ours.close()
        self._theirs.close()


class Stop:
    """The wish that this process ends. `is_set` and `wait` are for loops, `wake` for select().

    No threading.Event: the handler of a signal may interrupt a thread that holds the event's lock,
    and would then wait for it indefinitely.
    """

    def __init__(self) -> None:
        self.wake = Waker()
        self._asked = Waker()  # never cleared
        self._is_set = False
        self._interrupted = False

    def is_set(self) -> bool:
        """Whether to stop."""
        return self._is_set

    def wait(self, timeout: float) -> bool:
        """Wait until the stop is asked for, or for `timeout` seconds; whether it is. Any thread."""
        readable([self._asked], timeout)
        return self._is_set

    def set(self) -> None:
        """Ask for the stop. Safe from any thread and from a signal handler."""
        self._is_set = True
        self._asked.set()
        self.wake.set()

    def listen(self) -> None:
        """Let SIGTERM, SIGHUP and SIGINT ask for it; a second SIGINT ends the process at once.

        One of each is no hurry: a terminal and a process manager may both have meant it well.
        An end at once is a crash that is meant: the servers free what it held, and
        another worker takes over.
        """
        handle_stop_signals(self._on_signal)

    def ignore(self) -> None:
        """The process is at its end: one more SIGTERM or SIGHUP must not change its exit code."""
        handle_stop_signals(signal.SIG_IGN, (signal.SIGTERM, signal.SIGHUP))

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            if self._interrupted:
                os._exit(128 + number)
            self._interrupted = True
        self.set()
