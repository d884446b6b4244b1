"""Reads the changes of all orders: each once, and those of one order in their order.

A change gets its position before its transaction commits, so a change with a lower position may
become visible later. The reader passes such a gap, remembers it, and reads it again until it is
filled or can no longer be filled. A transaction that was given a position holds a RowExclusiveLock
on the log until it ends, and what it committed is visible before that lock is released. So a gap
can only be filled by a transaction that held the lock when the gap was noticed.

One order's changes never overtake each other. Each is logged by the transaction that has updated
the row of the order (order_log_change), so it gets its position after the one before has committed.
A reader that sees a change also sees all earlier ones of the order, with lower positions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

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
from pizza.database.connection import Connection

PAGE = 1000
# Beyond this many open gaps nothing new is read until one of them is closed.
MAX_GAPS = 10_000


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """A change, and the cursor of a reader that has received it and all that was read before."""

    change: Change
    cursor: Cursor


class ChangeFeed:
    """Reads the changes of all orders from a moment on. To be used by one thread.

    position: the highest position that was read. missing: the gaps below it. waits: the last read
    stopped at a new gap; most of them are filled within milliseconds. more: more changes can be
    read at once.
    """

    def __init__(self, position: int, gaps: Mapping[frozenset[str], list[Range]] = {}) -> None:
        """gaps: ranges of missing positions, by the transactions that may still fill them."""
        self.position = position
        self.waits = self.more = False
        self._noticed = position
        self._all_due = False
        self._set_gaps(gaps)

    @classmethod
    def start_now(cls, conn: Connection) -> Self:
        """A feed of all changes that are not visible yet, in gaps as well.

        Gaps are found among the last storage.DEPTH positions; older ones are ignored.
        """
        position = storage.head_position(conn)
        writers = storage.open_transactions(conn)
        if not writers:
            return cls(position)
        return cls(position, {writers: storage.find_gaps(conn, position)})

    def read(self, conn: Connection) -> list[FeedEntry]:
        """The changes that have become visible since the last call, sorted by position.

        Raises psycopg.Error and DatabaseUnavailable; then no change counts as read.
        """
        page = storage.changes_after(conn, self.position, PAGE)
        rows = self._until_new_gap(page)
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
        return [*self._late_entries(late, position), *self._new_entries(fresh)]

    def rewind(self, conn: Connection) -> None:
        """Continue after an outage of the database, which may have lost its last transactions."""
        self._all_due = True
        head = storage.head_position(conn)
        if head < self.position:
            self.position = head
            self._set_gaps({w: list(clipped(r, 1, head)) for w, r in self._gaps.items()})
        self._noticed = self.position

    def _until_new_gap(self, page: list[Change]) -> list[Change]:
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
        """The changes that have become visible in gaps, and whether these are all.

        rows: what was just read behind the gaps; new: the gaps in it. If more has become visible
        than a page, it gives the first of what is late, and the rest has to come before the rows.
        """
        # Before the gaps are read: whatever is not visible then can only come from one of these.
        writers = storage.open_transactions(conn)
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

    def _late_entries(self, changes: list[Change], position: int) -> list[FeedEntry]:
        """Those below `position`, up to which everything else had been read before."""
        missing = bounded(clipped(self.missing, 1, position))
        followed: list[FeedEntry] = []
        for change in reversed(changes):
            followed.append(FeedEntry(change, Cursor(position, missing)))
            missing = added(missing, change.position, change.position)
        return followed[::-1]

    def _new_entries(self, changes: list[Change]) -> list[FeedEntry]:
        after = cursors(self.missing, [change.position for change in changes])
        return [FeedEntry(*each) for each in zip(changes, after, strict=True)]
