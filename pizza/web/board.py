"""A notice board in shared memory: the main process writes how the relay does, workers read it."""

from __future__ import annotations

import time
from multiprocessing import sharedctypes
from typing import Any

_LENGTH = 64
_STALE_SECONDS = 5.0


class Board:
    """One short text with the time of its last writing. One writer, any number of readers.

    Travels to spawned processes as an argument, and only so.
    """

    def __init__(self, text: Any, written_at: Any) -> None:
        self._text = text
        self._written_at = written_at

    @classmethod
    def create(cls) -> Board:
        """Make an empty board in shared memory."""
        return cls(sharedctypes.RawArray("c", _LENGTH), sharedctypes.RawValue("d", 0.0))

    def write(self, text: str) -> None:
        """Pin up a text; longer ones than the board is wide are cut."""
        self._text.value = text.encode("ascii", "replace")[: _LENGTH - 1]
        self._written_at.value = time.monotonic()  # one clock for all processes of a machine

    def read(self) -> str:
        """What hangs there; `unknown` when nobody has looked after it for a while."""
        if time.monotonic() - self._written_at.value > _STALE_SECONDS:
            return "unknown"
        text: bytes = self._text.value
        return text.decode("ascii") or "unknown"
