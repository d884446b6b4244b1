"""Reads the changes of all orders one after the other, and misses none.

A change has its position before it is committed, so a later one may be seen earlier. Whoever reads
"all after the last" and remembers the last would pass over one that is committed late. So what
comes after a gap is held back until it is sure that the gap stays one: a transaction that was
given a position holds a lock on the log, so once all have ended that held one when the gap was
found, whatever they have committed can be seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import psycopg

from pizza.storage import live as storage
from pizza.storage.live import Change

Connection = psycopg.Connection[Any]

PAGE = 1000


@dataclass(frozen=True, slots=True)
class _Gap:
    """upto: a position that was seen beyond the gap; writers: who may have one before that."""

    upto: int
    writers: frozenset[str]


class Follower:
    """The changes from a moment on. One thread's.

    position: up to here everything is over and done with. held: how many times in a row nothing
    came because of a gap. more: there is more to read at once.
    """

    def __init__(self, position: int) -> None:
        self.position = position
        self.held = 0
        self.more = False
        self._seen: set[int] = set()
        self._gap: _Gap | None = None

    @classmethod
    def begin(cls, conn: Connection) -> Self:
        """Follow whatever cannot be seen yet, wherever its position is."""
        # Whatever is under way came after these, which are seconds of the fullest load.
        tip = storage.tip(conn)
        if not tip:
            return cls(0)
        writers = storage.writers(conn)
        if not writers:
            return cls(tip[-1])
        known = set(tip)
        first = tip[0] if len(tip) == storage.TIP else 0
        while first + 1 in known:
            first += 1
        follower = cls(first)
        follower._seen = {each for each in tip if each > first}
        follower._gap = _Gap(tip[-1], writers)
        return follower

    def read(self, conn: Connection) -> list[Change]:
        """What has come since the last time, in the order of positions."""
        before = self.position
        clear = self._cleared(conn)
        rows = storage.changes(conn, before, PAGE)
        came: list[Change] = []
        stopped = False
        for change in rows:
            if change.position > max(self.position, clear) + 1:
                stopped = True
                break
            self.position = change.position
            if change.position in self._seen:
                self._seen.discard(change.position)
            else:
                came.append(change)
        self.more = len(rows) == PAGE and not stopped
        if not self.more:
            self.position = max(self.position, clear)
        self._hold(conn, rows, stopped=stopped, stuck=self.position == before)
        return came

    def resume(self, conn: Connection) -> None:
        """Go on after the database was away; it may have come back without its last moments."""
        self._gap, self.held = None, 0
        self.position = min(self.position, storage.newest(conn))

    def _cleared(self, conn: Connection) -> int:
        """Up to where whoever looks from now on sees all there will ever be; 0 if that is open."""
        if self._gap is None or self._gap.writers & storage.writers(conn):
            return 0
        clear, self._gap = self._gap.upto, None
        return clear

    def _hold(self, conn: Connection, rows: list[Change], *, stopped: bool, stuck: bool) -> None:
        if not stopped:
            self.held = 0
            return
        self.held = self.held + 1 if stuck else 1
        # Most gaps are filled a moment later; the locks are looked at for those that are not.
        if self.held > 1 and self._gap is None:
            self._gap = _Gap(rows[-1].position, storage.writers(conn))
