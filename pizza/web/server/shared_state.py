"""A notice board in shared memory, for the processes of one order service.

The main process writes how the relay does, and workers read it; they write that they listen.
"""

from __future__ import annotations

import time
from multiprocessing import sharedctypes
from typing import Any

_LENGTH = 64
_STALE_SECONDS = 5.0


class SharedFlag:
    """A flag in shared memory that is set once; like threading.Event for processes."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def is_set(self) -> bool:
        """Whether a process has set it."""
        return bool(self._value.value)

    def set(self) -> None:
        """Set it, for all processes."""
        self._value.value = 1


class Board:
    """One short text with the time of its last writing: one writer, any number of readers. And
    whether there is a worker that listens.

    authentication: set once a staff key was seen, and still set in a worker that is started later.
    Travels to spawned processes as an argument, and only so.
    """

    def __init__(self, text: Any, written_at: Any, is_open: Any, authentication: Any) -> None:
        self._text = text
        self._written_at = written_at
        self._open = is_open
        self.authentication = SharedFlag(authentication)

    @classmethod
    def create(cls) -> Board:
        """Make an empty board in shared memory."""
        return cls(
            sharedctypes.RawArray("c", _LENGTH),
            sharedctypes.RawValue("d", 0.0),
            sharedctypes.RawValue("b", 0),
            sharedctypes.RawValue("b", 0),
        )

    def write(self, text: str) -> None:
        """Pin up a text; longer ones than the board is wide are cut."""
        self._text.value = text.encode("ascii", "replace")[: _LENGTH - 1]
        self._written_at.value = time.monotonic()  # one clock for all processes of a machine

    def opened(self) -> None:
        """A worker listens."""
        self._open.value = 1

    @property
    def is_open(self) -> bool:
        """Whether one has said so."""
        return bool(self._open.value)

    def read(self) -> str:
        """What hangs there; `unknown` when nobody has looked after it for a while."""
        if time.monotonic() - self._written_at.value > _STALE_SECONDS:
            return "unknown"
        text: bytes = self._text.value
        return text.decode("ascii") or "unknown"
