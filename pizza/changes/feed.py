"""Reads the changes of all orders: each once, and those of one order in their order.

A change gets its position before its transaction commits, so a change with a lower position may
become visible later. The reader passes such a gap, remembers it, and reads it again until it is
filled or can no longer be filled. A transaction that was given a position holds a RowExclusiveLock
on the log until it ends, and what it committed is visible before that lock is released. So a gap
can only be filled by a transaction that held the lock when the gap was noticed.

One order's changes never overtake each other. Each is logged by the transaction that has updated
the row of the order (order_changed), so it gets its position after the one before it has committed:
whoever sees a change also sees all earlier ones of the order, and their positions are lower.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import psycopg

from pizza.changes import storage
from pizza.changes.cursor import (
    Cursor,
    Range,
    Ranges,
    added,
    between,
    bounded,
    clipped,
    contains,
    cursors,
    without,
)
from pizza.changes.storage import Change

Connection = psycopg.Connection[Any]

PAGE = 1000
# Beyond this many open gaps nothing new is read until one of them is closed.
MAX_GAPS = 10_000


@dataclass(frozen=True, slots=True)
class FollowedChange:
    """A change, and the cursor of a reader that has received it and all that was read before."""

    change: Change
    cursor: Cursor


class Follower:
    """The changes from a moment on. To be used by one thread.

    position: the highest position that was read. missing: the gaps below it. waits: the last read
    stopped at a gap that is new, and most of those are filled within milliseconds. more: there is
    more to read at once.
    """

    def __init__(self, position: int, gaps: Mapping[frozenset[str], list[Range]] = {}) -> None:
        """gaps: ranges of missing positions, by the transactions that may still fill them."""
        self.position = position
        self.waits = self.more = False
        self._noticed = position
        self._all_due = False
        self._set_gaps(gaps)

    @classmethod
    def begin(cls, conn: Connection) -> Self:
        """Follow whatever is not visible yet, whatever its position.

        Gaps are found among the last storage.DEPTH positions; one further back is overlooked.
        """
        position = storage.newest(conn)
        writers = storage.writers(conn)
        if not writers:
            return cls(position)
        return cls(position, {writers: storage.gaps(conn, position)})

    def read(self, conn: Connection) -> list[FollowedChange]:
        """What has become visible since the last time, sorted by position.

        Raises psycopg.Error and DatabaseUnavailable, and then nothing counts as read.
        """
        page = storage.changes(conn, self.position, PAGE)
        rows = self._passable(page)
        position, self._noticed = self.position, page[-1].position if page else self.position
        self.more = len(page) == PAGE == len(rows)
        new = between(position, [row.position for row in rows])
        found: list[Change] = []
        if new or self.missing:
            found, complete = self._fill_gaps(conn, rows, new)
            if not complete:
                rows, self.more = [], True
        if rows:
            self.position = rows[-1].position
        late = [change for change in found if change.position <= position]
        fresh = sorted([*found[len(late) :], *rows], key=lambda change: change.position)
        return [*self._late(late, position), *self._fresh(fresh)]

    def resume(self, conn: Connection) -> None:
        """Go on after the database was away; it may have come back without its last moments."""
        self._all_due = True
        newest = storage.newest(conn)
        if newest < self.position:
            self.position = newest
            self._set_gaps({w: list(clipped(r, 1, newest)) for w, r in self._gaps.items()})
        self._noticed = self.position

    def _passable(self, page: list[Change]) -> list[Change]:
        """The changes up to the first gap that was not noticed before."""
        position, room = self.position, MAX_GAPS - len(self.missing)
        self.waits = False
        for n, row in enumerate(page):
            if row.position > position + 1:
                room -= 1
                self.waits = row.position > self._noticed
                if self.waits or room < 0:
                    return page[:n]
            position = row.position
        return page

    def _fill_gaps(
        self, conn: Connection, rows: list[Change], new: list[Range]
    ) -> tuple[list[Change], bool]:
        """What has become visible in gaps; whether that is all. Closes those nobody can fill.

        rows: what was just read behind the gaps; new: the gaps in it. If more has become visible
        than a page, it gives the first of what is late, and the rest has to come before the rows.
        """
        # Before the gaps are read: whatever is not visible then can only come from one of these.
        writers = storage.writers(conn)
        due = {each for each in self._gaps if self._all_due or not each <= writers}
        found = self._read_gaps(conn, due, new)
        others = self._ranges(self._gaps.keys() - due)
        if any(contains(others, row.previous_position) for row in (*rows, *found)):
            # A transaction is visible a moment before its lock is released: then an earlier change
            # of the same order may be in a gap whose writers all seem to be there.
            due = set(self._gaps)
            found = self._read_gaps(conn, due, new)
        complete = len(found) < PAGE
        if not complete:
            found = [change for change in found if change.position <= self.position]
        positions = [change.position for change in found]
        gaps: dict[frozenset[str], list[Range]] = defaultdict(list)
        for key, ranges in self._gaps.items():
            after = key & writers if key in due and complete else key
            gaps[after] += without(ranges, positions) if key in due else ranges
        if complete:
            gaps[writers] += without(new, positions)
            self._all_due = False
        gaps.pop(frozenset(), None)
        self._set_gaps(gaps)
        return found, complete

    def _read_gaps(
        self, conn: Connection, due: Iterable[frozenset[str]], new: list[Range]
    ) -> list[Change]:
        ranges = [*self._ranges(due), *new]
        return storage.changes_within(conn, ranges, PAGE) if ranges else []

    def _ranges(self, keys: Iterable[frozenset[str]]) -> Ranges:
        return tuple(sorted(each for key in keys for each in self._gaps[key]))

    def _set_gaps(self, gaps: Mapping[frozenset[str], list[Range]]) -> None:
        self._gaps = {key: ranges for key, ranges in gaps.items() if ranges}
        self.missing = self._ranges(self._gaps)

    def _late(self, changes: list[Change], position: int) -> list[FollowedChange]:
        """Those below `position`, up to which everything else had been read before."""
        missing = bounded(clipped(self.missing, 1, position))
        followed: list[FollowedChange] = []
        for change in reversed(changes):
            followed.append(FollowedChange(change, Cursor(position, missing)))
            missing = added(missing, change.position, change.position)
        return followed[::-1]

    def _fresh(self, changes: list[Change]) -> list[FollowedChange]:
        after = cursors(self.missing, [change.position for change in changes])
        return [FollowedChange(*each) for each in zip(changes, after, strict=True)]
