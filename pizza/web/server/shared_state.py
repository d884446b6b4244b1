"""State in shared memory, for the processes of one order service.

The main process writes the state of the relay, which HTTP workers read. A worker records that it
listens.
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
        """Set it for all processes."""
        self._value.value = 1


class SharedState:
    """The relay's state with the time of its last write, and whether a worker listens.

    One process writes the state, any number reads it. authentication: set when a staff key was
    seen, and still set in a worker that starts later. Pass it to spawned processes as an argument.
    """

    def __init__(self, text: Any, written_at: Any, is_open: Any, authentication: Any) -> None:
        self._text = text
        self._written_at = written_at
        self._open = is_open
        self.authentication = SharedFlag(authentication)

    @classmethod
    def create(cls) -> SharedState:
        """Allocate an empty one in shared memory."""
        return cls(
            sharedctypes.RawArray("c", _LENGTH),
            sharedctypes.RawValue("d", 0.0),
            sharedctypes.RawValue("b", 0),
            sharedctypes.RawValue("b", 0),
        )

    def write(self, text: str) -> None:
        """Write the state, truncated to 63 ASCII characters."""
        self._text.value = text.encode("ascii", "replace")[: _LENGTH - 1]
        self._written_at.value = time.monotonic()  # one clock for all processes of a machine

    def set_open(self) -> None:
        """Record that a worker listens."""
        self._open.value = 1

    @property
    def is_open(self) -> bool:
        """Whether a worker listens."""
        return bool(self._open.value)

    def read(self) -> str:
        """The state; `unknown` if it was not written within the last 5 seconds."""
        if time.monotonic() - self._written_at.value > _STALE_SECONDS:
            return "unknown"
        text: bytes = self._text.value
        return text.decode("ascii") or "unknown"
