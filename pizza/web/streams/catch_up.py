"""What a stream of all orders missed between two connections of its client, page by page."""

from __future__ import annotations

from typing import Any

import psycopg

from pizza.changes import storage
from pizza.changes.cursor import Cursor, clipped, contains, cursors
from pizza.changes.feed import FollowedChange, Follower
from pizza.web.streams.sse import EncodedChange

PAGE = 1000


class CatchUp:
    """Reads what the follower has read and the client has not received, lowest position first.

    What is in a gap of the follower's is left to it, even if it is visible by now: only so the
    changes of one order keep their order. To be used by the hub's thread.
    """

    def __init__(self, received: Cursor) -> None:
        """received: the cursor with which the client has come back."""
        self._received = received
        # Up to here everything was read that was not in a gap.
        self._reached = 0
        self.more = True

    def page(self, conn: psycopg.Connection[Any], follower: Follower) -> list[EncodedChange]:
        """The next of what was missed; `more` says whether this was the last page."""
        tail = (self._received.position + 1, follower.position)
        ranges = clipped((*self._received.missing, tail), self._reached + 1, follower.position)
        rows = storage.changes_within(conn, ranges, PAGE) if ranges else []
        if rows:
            self._reached = rows[-1].position
        self.more = len(rows) == PAGE
        missed = [row for row in rows if not contains(follower.missing, row.position)]
        after = cursors(follower.missing, [row.position for row in missed])
        return [EncodedChange(*each) for each in zip(missed, after, strict=True)]

    def late(self, changes: list[FollowedChange]) -> list[EncodedChange]:
        """Of what the follower has just read, what is in the part that was passed already."""
        return [
            EncodedChange(each.change, each.cursor.upto(self._reached))
            for each in changes
            if each.change.position <= self._reached
        ]
