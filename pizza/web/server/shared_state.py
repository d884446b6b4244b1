"""State in shared memory, for the processes of one order service.

The main process writes the state of the relay, which HTTP workers read.
"""

from __future__ import annotations

import time
from multiprocessing import sharedctypes

_LENGTH = 64
_STALE_SECONDS = 5.0


class SharedFlag:
    """A flag in shared memory that is set once; like threading.Event for processes."""

    def __init__(self) -> None:
        self._value = sharedctypes.RawValue("b", 0)

    def is_set(self) -> bool:
        """Whether a process has set it."""
        return bool(self._value.value)

    def set(self) -> None:
        """Set it for all processes."""
        self._value.value = 1


class SharedState:
    """The relay's state with the time of its last write, and two flags.

    One process writes the state, any number reads it. listening: a worker listens. authentication:
    set when a staff key was seen, and still set in a worker that starts later. Pass it to spawned
    processes as an argument.
    """

    def __init__(self) -> None:
        self._text = sharedctypes.RawArray("c", _LENGTH)
        self._written_at = sharedctypes.RawValue("d", 0.0)
        self.listening = SharedFlag()
        self.authentication = SharedFlag()

    def write(self, text: str) -> None:
        """Write the state, truncated to 63 ASCII characters."""
        self._text.value = text.encode("ascii", "replace")[: _LENGTH - 1]
        self._written_at.value = time.monotonic()  # one clock for all processes of a machine

    def read(self) -> str:
        """The state; `unknown` if it was not written within the last 5 seconds."""
        if time.monotonic() - self._written_at.value > _STALE_SECONDS:
            return "unknown"
        return self._text.value.decode("ascii") or "unknown"
