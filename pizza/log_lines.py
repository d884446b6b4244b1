"""Where the lines of the log go: stdout, or a file that logrotate may move away."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from pathlib import Path


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
        self._reopening = threading.Lock()

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
        """Write a record; a reader that is gone is nobody's trouble here."""
        data = self.format(record).encode("ascii", "backslashreplace") + b"\n"
        with contextlib.suppress(OSError):
            if self._path is not None:
                self._follow(self._path)
            written = os.write(self._descriptor, data)
            while written < len(data):  # a pipe may take less than a long line at a time
                data = data[written:]
                written = os.write(self._descriptor, data)

    def close(self) -> None:
        """Close the descriptor."""
        super().close()
        with contextlib.suppress(OSError):
            os.close(self._descriptor)

    def _follow(self, path: str) -> None:
        """Open the file anew when the path no longer leads to ours: logrotate moved it."""
        if self._is_ours(path):
            return
        with self._reopening:
            if not self._is_ours(path):
                # dup2 changes what the number means at once, so no other thread writes to nowhere.
                fresh = _append_to(path)
                os.dup2(fresh, self._descriptor, inheritable=False)
                os.close(fresh)

    def _is_ours(self, path: str) -> bool:
        try:
            return os.path.samestat(Path(path).stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False


def _append_to(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
