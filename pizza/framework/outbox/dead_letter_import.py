"""Keeps the dead-letter queue and the table `dead_message` in step.

Release 0.2 kept dead letters in the broker's queue alone, and any program may put one there: those get
a row. Copies of rows carry the header `dead_message`; a copy goes when its row has been retried or
dropped.
"""

from __future__ import annotations

import hashlib
import time
from uuid import NAMESPACE_OID, UUID, uuid5

from psycopg.types.json import Jsonb

from pizza.database.connection import BoundedConnection
from pizza.database.queries import Queries
from pizza.framework.broker import Broker
from pizza.framework.epitaph import plain
from pizza.framework.errors import PoisonMessage
from pizza.framework.message import DEAD_MESSAGE, Ticket, ticket
from pizza.framework.topology import DEAD_LETTER_EXCHANGE, DEAD_LETTER_QUEUE

_BURY_RAW = Queries("framework").bury_raw
_EXISTING = Queries("dead_messages").existing

INTERVAL_S = 10.0
# So many are looked at, from the oldest on; twice as many the next time if all of them stay.
_LIMIT, _MAX_LIMIT = 500, 8_000
# Looking takes at most this share of the time.
_MAX_DUTY_CYCLE = 0.1


class DeadLetterImport:
    """On the keeper's database connection."""

    def __init__(self, conn: BoundedConnection) -> None:
        self._conn = conn
        self._look_at = 0.0
        self._limit = _LIMIT

    def step(self, broker: Broker) -> None:
        """Look every INTERVAL_S seconds. Raises BrokerUnavailable.

        What gets a row is acknowledged after the commit, and published again as a copy of the row.
        """
        began = time.monotonic()
        if began < self._look_at:
            return
        found: list[Ticket] = []
        while len(found) < self._limit and (message := broker.get(DEAD_LETTER_QUEUE)) is not None:
            found.append(ticket(DEAD_LETTER_QUEUE, message))
        copies = {
            each.delivery_tag: _row_id(each) for each in found if DEAD_MESSAGE in each.headers
        }
        known = self._existing([id for id in copies.values() if id is not None])
        settled = 0
        for each in found:
            if copies.get(each.delivery_tag) in known and each.delivery_tag in copies:
                broker.requeue(each.delivery_tag)
                continue
            if each.delivery_tag not in copies:
                self._make_row(each)
            broker.ack(each.delivery_tag)
            settled += 1
        full = len(found) == self._limit and not settled
        self._limit = min(_MAX_LIMIT, self._limit * 2) if full else _LIMIT
        took = time.monotonic() - began
        self._look_at = time.monotonic() + max(INTERVAL_S, took / _MAX_DUTY_CYCLE)

    def _existing(self, ids: list[UUID]) -> set[UUID]:
        rows = self._conn.execute(_EXISTING, {"ids": ids}).fetchall() if ids else []
        return {id for (id,) in rows}

    def _make_row(self, letter: Ticket) -> None:
        headers = plain(letter.headers)
        queue = headers.get("died_in")
        self._conn.execute(
            _BURY_RAW,
            {
                "id": _id(letter),
                "exchange": DEAD_LETTER_EXCHANGE,
                "routing_key": queue if isinstance(queue, str) and queue else DEAD_LETTER_QUEUE,
                "body": letter.body,
                "headers": Jsonb(headers),
                "traceback": None,
            },
        )


def _row_id(copy: Ticket) -> UUID | None:
    """The row that a copy says it is of; None for what is no id."""
    try:
        return UUID(str(copy.headers[DEAD_MESSAGE]))
    except ValueError:
        return None


def _id(letter: Ticket) -> UUID | None:
    """The id of a message of ours; for others one that follows from theirs; none without one."""
    if not letter.message_id:
        return None
    try:
        return letter.id() if not letter.foreign else _derived(letter)
    except PoisonMessage:
        return _derived(letter)


def _derived(letter: Ticket) -> UUID:
    body = hashlib.sha256(letter.body).hexdigest()
    return uuid5(NAMESPACE_OID, f"{letter.headers.get('died_in')}/{letter.message_id}/{body}")
