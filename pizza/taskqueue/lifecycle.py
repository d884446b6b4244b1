"""Shutdown of a process: signal handlers only set flags and wake waiting threads."""

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

    An ignored SIGHUP stays ignored: the process was started with nohup.
    """
    for number in numbers:
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def wait_readable(files: Sequence[Any], timeout: float) -> set[int]:
    """Wait up to `timeout` seconds; returns the file descriptors of `files` that are readable."""
    poll = select.poll()  # select() fails on descriptors over 1023, which a web process may have
    for each in files:
        poll.register(each, select.POLLIN)
    return {number for number, _ in poll.poll(max(0.0, timeout) * 1000)}


class Waker:
    """A socket pair that wakes a thread which polls it; any thread or signal handler can set it."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)

    def fileno(self) -> int:
        """The descriptor to poll: readable after `set`."""
        return self._ours.fileno()

    def set(self) -> None:
        """Wake the waiting thread. Safe from any thread and from a signal handler."""
        with suppress(OSError):  # full: it is set already
            self._theirs.send(b"!")

    def clear(self) -> None:
        """Reset it, whatever number of times it was set."""
        with suppress(OSError):  # empty
            while self._ours.recv(4096):
                pass

    def wait(self, timeout: float) -> None:
        """Wait until it is set, at most `timeout` seconds, then reset it."""
        wait_readable([self], timeout)
        self.clear()


class Shutdown:
    """A shutdown request for this process or thread. `wake` is for threads that poll.

    Not a threading.Event: a signal handler can interrupt the thread that holds the event's lock,
    and would then wait for that lock forever.
    """

    def __init__(self) -> None:
        self.wake = Waker()
        self._requested = Waker()  # never cleared
        self._is_set = False
        self._interrupted = False

    def is_set(self) -> bool:
        """Whether shutdown was requested."""
        return self._is_set

    def wait(self, timeout: float) -> bool:
        """Wait for it, at most `timeout` seconds; returns whether it was requested. Any thread."""
        wait_readable([self._requested], timeout)
        return self._is_set

    def set(self) -> None:
        """Request shutdown. Safe from any thread and from a signal handler."""
        self._is_set = True
        self._requested.set()
        self.wake.set()

    def install_handlers(self) -> None:
        """Let SIGTERM, SIGHUP and SIGINT request shutdown. Main thread only.

        A second SIGINT ends the process at once, as a crash would; one SIGINT and one SIGTERM do
        not, since a terminal and a process manager may each send one.
        """
        handle_stop_signals(self._on_signal)

    def ignore_signals(self) -> None:
        """Ignore SIGTERM and SIGHUP, so that they no longer change the exit code."""
        handle_stop_signals(signal.SIG_IGN, (signal.SIGTERM, signal.SIGHUP))

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT:
            if self._interrupted:
                os._exit(128 + number)
            self._interrupted = True
        self.set()
