"""Reads what a client of a stream of all orders missed while it was disconnected, in pages."""

from __future__ import annotations

from pizza.changes import storage
from pizza.changes.cursor import Cursor, clipped, contains, cursors
from pizza.changes.feed import ChangeFeed, FeedEntry
from pizza.database.connection import Connection
from pizza.web.streams.sse import EncodedChange

PAGE = 1000


class CatchUp:
    """Reads what the feed has read and the client has not received, lowest position first.

    Positions in a gap of the feed are left to the feed, even if they are visible by now:
    that keeps the changes of one order in their order. Used by the hub's thread only.
    """

    def __init__(self, received: Cursor) -> None:
        """received: the cursor with which the client reconnected."""
        self._received = received
        # Everything up to here was read, but for what was in a gap.
        self._reached = 0
        self.has_more = True

    def read_page(self, conn: Connection, feed: ChangeFeed) -> list[EncodedChange]:
        """The next page of missed changes; `has_more` says whether there is another."""
        tail = (self._received.position + 1, feed.position)
        ranges = clipped((*self._received.missing, tail), self._reached + 1, feed.position)
        rows = storage.changes_within(conn, ranges, PAGE) if ranges else []
        if rows:
            self._reached = rows[-1].position
        self.has_more = len(rows) == PAGE
        missed = [row for row in rows if not contains(feed.missing, row.position)]
        after = cursors(feed.missing, [row.position for row in missed])
        return [EncodedChange(*each) for each in zip(missed, after, strict=True)]

    def select_late(self, changes: list[FeedEntry]) -> list[EncodedChange]:
        """Of the changes that the feed has just read, those below the position reached."""
        return [
            EncodedChange(each.change, each.cursor.upto(self._reached))
            for each in changes
            if each.change.position <= self._reached
        ]
