"""Streams beside transactions that stay open, of clients that are cut off and come back elsewhere."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psycopg
import pytest

from pizza.database.connection import BoundedConnection, connect
from pizza.services.cursor import Cursor
from pizza.storage import live
from pizza.web import catch_up
from pizza.web import feeder as feeding
from pizza.web.feeder import Feeder
from pizza.web.stream import Stream

from ...pace import Stopwatch
from .conftest import Place

# One more change of an order, by a transaction that updates its row as all do.
CHANGE = """
with changed as (
    update orders set version = version + 1 where number = %s returning id, status, version
)
insert into order_status_log (order_id, status, changed_by, sequence)
select id, status, 'test', version from changed
"""
PATIENCE_S = 60.0
_EVENT = re.compile(r'id: (\S+)\nevent: order\ndata: (?:.*?)"order_number":"(.*?)".*"sequence":(\d+)')

Event = tuple[str, str, int]
Process = Callable[[], Feeder]


def change(conn: psycopg.Connection, number: str) -> None:
    conn.execute(CHANGE, (number,))


class Client:
    """Follows all orders; keeps each event that has come: its id, the order, and the sequence."""

    def __init__(self, conn: BoundedConnection) -> None:
        self._conn = conn
        self.came: list[Event] = []
        self._new = 0
        self._stream: Stream | None = None

    def open(self, feeder: Feeder, last: str | None = None) -> None:
        """Open a stream, as the endpoint does; without `last` from now on."""
        self.close()
        stream = self._stream = Stream(on_close=feeder.leave)
        position = feeder.join(stream, self._conn, Cursor.parse(last) if last else None)
        if not last:
            stream.begin_all(known=live.positions(self._conn, position))

    def again(self, feeder: Feeder) -> None:
        """Come back with the id of the last event."""
        self.open(feeder, self.came[-1][0])

    def take(self, count: int) -> list[tuple[str, int]]:
        """The orders and sequences of the next events; waits for them."""
        assert self._stream is not None
        ending = threading.Timer(PATIENCE_S, self._stream.cut)
        ending.start()
        while len(self.came) - self._new < count:
            for found in _EVENT.finditer(next(self._stream).decode()):
                self.came.append((found[1], found[2], int(found[3])))
        ending.cancel()
        taken = self.came[self._new : self._new + count]
        self._new += count
        return [(number, sequence) for _, number, sequence in taken]

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()


@pytest.fixture
def process(db_url: str) -> Iterator[Process]:
    """Makes the feeder of one more process."""
    with ExitStack() as closing:

        def make() -> Feeder:
            feeder = Feeder(lambda: connect(db_url, name="feeder under test"))
            closing.callback(feeder.close)
            return feeder

        yield make


@pytest.fixture
def client(conn: BoundedConnection) -> Iterator[Client]:
    made = Client(conn)
    yield made
    made.close()


@pytest.fixture
def orders(request: pytest.FixtureRequest) -> list[str]:
    """Three orders. (`place` needs the application's client, which has the name of ours.)"""
    place: Place = request.getfixturevalue("place")
    return [place() for _ in range(3)]
