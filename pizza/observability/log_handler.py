"""Where the lines of the log go: stdout, or a file that logrotate may move away.

A line that cannot be written there goes to stderr. Trouble and its end are one sentence each on
stderr.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import sys
import threading
import time
from pathlib import Path

_REOPEN_SECONDS = 1.0
# As long a reader of a pipe that does not block may take to read what is in it.
_READER_SECONDS = 5.0


class LineWriter(logging.Handler):
    """Writes each line with one system call, and takes no lock.

    The handlers of the standard library hold a lock while they write, and let go of the
    interpreter: under load every thread of a server ends up waiting there. The kernel keeps
    lines apart by itself, also those of several processes that share a log.
    """

    def __init__(self, descriptor: int, path: str | None = None) -> None:
        """Write to an open descriptor, which is ours now; reopen `path` when it is moved away."""
        super().__init__()
        self._descriptor = descriptor
        self._path = path
        self._place = path or "stdout"
        self._changing = threading.Lock()
        self._reopen_at = 0.0
        self._moved = self._deleted = self._failing = self._torn = False
        self._lost = 0

    @classmethod
    def to_file(cls, path: str) -> LineWriter:
        """Append to a file. Raises OSError when it cannot be opened."""
        return cls(_append_to(path), path)

    def handle(self, record: logging.LogRecord) -> bool:
        """Write a record, unless a filter is against it."""
        if self.filter(record):
            self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record to the log, or to stderr when the log takes nothing. Any thread."""
        data = self.format(record).encode("ascii", "backslashreplace") + b"\n"
        if self._path is not None:
            self._follow(self._path)
        # Ends the part of a line that a full disk took.
        rest = b"\n" + data if self._torn else data
        try:
            while rest:  # a pipe may take less than a long line at a time
                rest = rest[self._write(rest) :]
        except OSError as problem:
            self._torn = self._torn or len(rest) < len(data)
            self._report_failure(problem)
            self._write_elsewhere(data, problem)
        else:
            self._torn = False
            if self._failing:
                self._report_recovery()
            if self._deleted:
                _to_stderr(data)

    def close(self) -> None:
        """Close the descriptor."""
        super().close()
        with contextlib.suppress(OSError):
            os.close(self._descriptor)

    def _write(self, data: bytes) -> int:
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            # Another program that shares the pipe or terminal has set it not to block.
            poll = select.poll()
            poll.register(self._descriptor, select.POLLOUT)
            poll.poll(_READER_SECONDS * 1000)
            return os.write(self._descriptor, data)

    def _write_elsewhere(self, data: bytes, problem: OSError) -> None:
        # A program that has stopped to read a pipe has most often ended on purpose (`| head`).
        if problem.errno == errno.EPIPE or not _to_stderr(data):
            with self._changing:
                self._lost += 1

    def _follow(self, path: str) -> None:
        """Reopen the file when the path leads to another one, or to none: logrotate moved it.

        Where it cannot be opened, the file that is open stays in use.
        """
        if self._is_ours(path):
            if self._moved:
                self._report_return(path)
            return
        if self._moved and time.monotonic() < self._reopen_at:
            return
        with self._changing:
            if self._is_ours(path):
                return
            try:
                # dup2 changes what the number means at once, so no other thread writes to nowhere.
                fresh = _append_to(path)
                os.dup2(fresh, self._descriptor, inheritable=False)
                os.close(fresh)
            except OSError as problem:
                self._reopen_at = time.monotonic() + _REOPEN_SECONDS
                self._report_move(path, problem)
                return
        if self._moved:
            self._report_return(path)

    def _is_ours(self, path: str) -> bool:
        try:
            return os.path.samestat(Path(path).stat(), os.fstat(self._descriptor))
        except OSError:
            return False

    def _report_move(self, path: str, problem: OSError) -> None:
        if not self._moved:
            self._moved = True
            _say(
                f"--log-file (LOG_FILE) {path} cannot be opened again: {_reason(problem)}. "
                "The log goes on in the file that was open; make the path writable."
            )
        if not self._deleted and os.fstat(self._descriptor).st_nlink == 0:
            self._deleted = True
            _say("The file that was open has been deleted. The lines of the log follow here.")

    def _report_failure(self, problem: OSError) -> None:
        with self._changing:
            reported, self._failing = self._failing, True
        if reported:
            return
        follow = "are lost" if problem.errno == errno.EPIPE else "follow here"
        _say(
            f"The log cannot be written to {self._place}: {_reason(problem)}. "
            f"Its lines {follow} until it can."
        )

    def _report_recovery(self) -> None:
        with self._changing:
            failing, self._failing = self._failing, False
            lost, self._lost = self._lost, 0
        if failing:
            counted = f" {lost} lines were lost." if lost else ""
            _say(f"The log is written to {self._place} again.{counted}")

    def _report_return(self, path: str) -> None:
        with self._changing:
            moved, self._moved, self._deleted = self._moved, False, False
        if moved:
            _say(f"The log is written to {path} again.")


def _append_to(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def _reason(problem: OSError) -> str:
    return problem.strerror or type(problem).__name__


def _say(sentence: str) -> None:
    _to_stderr(f"restaurant-system: {sentence}\n".encode("utf-8", "backslashreplace"))


def _to_stderr(data: bytes) -> bool:
    """Whether stderr took it all."""
    try:
        while data and sys.__stderr__ is not None:
            data = data[os.write(sys.__stderr__.fileno(), data) :]
    except (OSError, ValueError):  # full as well, or closed
        return False
    return not data
