"""The log handler: writes lines to stdout, or to a file that logrotate may move.

A line that cannot be written goes to stderr. The start and the end of a failure are reported with
one sentence each on stderr.
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
# How long to wait for the reader of a full, non-blocking pipe.
_PIPE_TIMEOUT_SECONDS = 5.0


class JsonLogHandler(logging.Handler):
    """Writes each line with one system call, without a lock. For any thread.

    The handlers of the standard library hold a lock while they write and release the GIL: under
    load all threads of a server wait for it. The kernel keeps lines separate, also those of several
    processes with one log.
    """

    def __init__(self, descriptor: int, path: str | None = None) -> None:
        """Write to an open descriptor, which `close` closes; reopen `path` when it is moved."""
        super().__init__()
        self._descriptor = descriptor
        self._path = path
        self._target = path or "stdout"
        self._changing = threading.Lock()
        self._reopen_at = 0.0
        self._moved = self._deleted = self._failing = self._torn = False
        self._lost = 0

    @classmethod
    def to_file(cls, path: str) -> JsonLogHandler:
        """A handler that appends to a file. Raises OSError when it cannot be opened."""
        return cls(_append_to(path), path)

    def handle(self, record: logging.LogRecord) -> bool:
        """Write a record, unless a filter rejects it."""
        if self.filter(record):
            self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record to the log, or to stderr when that fails."""
        data = self.format(record).encode("ascii", "backslashreplace") + b"\n"
        if self._path is not None:
            self._reopen_if_moved(self._path)
        # Ends a line that was written in part, because the disk was full.
        rest = b"\n" + data if self._torn else data
        try:
            while rest:  # a pipe may accept a part of a long line
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
            # Another program has made the shared pipe or terminal non-blocking.
            poll = select.poll()
            poll.register(self._descriptor, select.POLLOUT)
            poll.poll(_PIPE_TIMEOUT_SECONDS * 1000)
            return os.write(self._descriptor, data)

    def _write_elsewhere(self, data: bytes, problem: OSError) -> None:
        # A program that closed a pipe has usually ended on purpose (`| head`).
        if problem.errno == errno.EPIPE or not _to_stderr(data):
            with self._changing:
                self._lost += 1

    def _reopen_if_moved(self, path: str) -> None:
        """Reopen the log when its path names another file or none: logrotate moved it.

        If that fails, the open file stays in use.
        """
        if self._is_open_file(path):
            if self._moved:
                self._report_return(path)
            return
        if self._moved and time.monotonic() < self._reopen_at:
            return
        with self._changing:
            if self._is_open_file(path):
                return
            try:
                # dup2 is atomic, so that other threads always have an open descriptor.
                reopened = _append_to(path)
                os.dup2(reopened, self._descriptor, inheritable=False)
                os.close(reopened)
            except OSError as problem:
                self._reopen_at = time.monotonic() + _REOPEN_SECONDS
                self._report_move(path, problem)
                return
        if self._moved:
            self._report_return(path)

    def _is_open_file(self, path: str) -> bool:
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
            f"The log cannot be written to {self._target}: {_reason(problem)}. "
            f"Its lines {follow} until it can."
        )

    def _report_recovery(self) -> None:
        with self._changing:
            failing, self._failing = self._failing, False
            lost, self._lost = self._lost, 0
        if failing:
            counted = f" {lost} lines were lost." if lost else ""
            _say(f"The log is written to {self._target} again.{counted}")

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
    """Write to stderr; returns whether all of it was written."""
    try:
        while data and sys.__stderr__ is not None:
            data = data[os.write(sys.__stderr__.fileno(), data) :]
    except (OSError, ValueError):  # full as well, or closed
        return False
    return not data
