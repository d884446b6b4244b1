"""Keeps the dead-letter queue and the table `dead_message` in step.

Release 0.2 kept dead letters in the broker's queue alone, and any program may put one there: those
get a row. Copies of rows carry the header `dead_message`; a copy goes when its row has been retried
or dropped, or when a newer copy of the same row is there.
"""

from __future__ import annotations

import hashlib
import logging
import time
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

import psycopg
from psycopg.types.json import Jsonb

from pizza.database.connection import BoundedConnection
from pizza.database.queries import Queries
from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.taskqueue.dead_letters.headers import json_safe_headers
from pizza.taskqueue.errors import PoisonMessage
from pizza.taskqueue.message import DEAD_MESSAGE, Delivery
from pizza.taskqueue.topology import DEAD_LETTER_EXCHANGE, DEAD_LETTER_QUEUE

log = logging.getLogger(__name__)

_SQL = Queries("taskqueue/dead_letters")

INTERVAL_S = 10.0
# A queue and a table that both look unchanged are compared after this all the same.
_LONGEST_INTERVAL_S = 60.0
# The keeper has other work: so many letters are read in one step, and so many in one pass.
_SLICE = 200
_MAX_LETTERS = 50_000
# Reading takes at most this share of the time.
_MAX_DUTY_CYCLE = 0.1
# Octets in the name of a queue of AMQP.
_MAX_NAME = 255


class DeadLetterImport:
    """On the keeper's database connection.

    One pass reads the whole queue, over several steps. It keeps the delivery tags of copies alone,
    and gives the copies back at its end: each keeps its place in the queue.
    """

    def __init__(self, conn: BoundedConnection) -> None:
        self._conn = conn
        self._broker: BrokerConnection | None = None
        self._next_at = 0.0
        self._passed_at = -_LONGEST_INTERVAL_S
        self._began = 0.0
        self._taken = 0
        self._imported = 0
        self._is_reading = False
        self._copies: dict[int, UUID] = {}
        self._kept: list[int] = []
        self._seen: Any = None

    @property
    def is_busy(self) -> bool:
        """Whether a pass goes on with the next step."""
        return self._is_reading

    def step(self, broker: BrokerConnection) -> None:
        """Read one slice; a pass begins every INTERVAL_S seconds. Raises BrokerUnavailable.

        What gets a row is acknowledged after its commit, and published again as a copy of the row.
        """
        if broker is not self._broker:
            # What was read by another connection is back in the queue.
            self._broker = broker
            self._is_reading = False
        now = time.monotonic()
        if not self._is_reading:
            if now < self._next_at:
                return
            self._next_at = now + INTERVAL_S
            if self._is_unchanged(broker):
                return
            self._begin(now)
        try:
            if self._read_slice(broker):
                return
            self._end(broker)
        except Exception:
            # Nothing may stay in our hands, where nobody sees it.
            self._give_back(broker)
            raise

    def _is_unchanged(self, broker: BrokerConnection) -> bool:
        """Whether queue and table look as they did at the end of the last pass."""
        ready = broker.message_count(DEAD_LETTER_QUEUE)
        if not ready:
            return True
        recent = time.monotonic() - self._passed_at < _LONGEST_INTERVAL_S
        return recent and (ready, self._state()) == self._seen

    def _begin(self, now: float) -> None:
        self._began = now
        self._is_reading = True
        self._taken = self._imported = 0
        self._copies = {}
        self._kept = []

    def _read_slice(self, broker: BrokerConnection) -> bool:
        """Read the next letters; whether there may be more."""
        for _ in range(_SLICE):
            message = broker.get(DEAD_LETTER_QUEUE)
            if message is None:
                return False
            self._taken += 1
            letter = Delivery.from_amqp(DEAD_LETTER_QUEUE, message)
            copied = _row_id(letter)
            if copied is not None:
                self._copies[letter.delivery_tag] = copied
            elif self._make_row(letter):
                broker.ack(letter.delivery_tag)
                self._imported += 1
            else:
                self._kept.append(letter.delivery_tag)
        return self._taken < _MAX_LETTERS

    def _end(self, broker: BrokerConnection) -> None:
        """Take out the copies that lead to no row, and give the others back."""
        state = self._state()
        rows = self._conn.execute(_SQL.existing, {"ids": list(self._copies.values())}).fetchall()
        known = {id for (id,) in rows}
        newest = {id: tag for tag, id in self._copies.items() if id in known}
        stale = [tag for tag, id in self._copies.items() if newest.get(id) != tag]
        for tag in stale:
            del self._copies[tag]
            broker.ack(tag)
        remaining = len(self._copies) + len(self._kept)
        self._give_back(broker)
        self._seen = None if self._imported else (remaining, state)
        self._passed_at = time.monotonic()
        took = self._passed_at - self._began
        self._next_at = self._passed_at + max(INTERVAL_S, took / _MAX_DUTY_CYCLE)

    def _give_back(self, broker: BrokerConnection) -> None:
        tags, self._copies, self._kept = [*self._copies, *self._kept], {}, []
        self._is_reading = False
        broker.requeue_many(tags)

    def _state(self) -> Any:
        return self._conn.execute(_SQL.state).fetchone()

    def _make_row(self, letter: Delivery) -> bool:
        """Write the row of a letter; False when PostgreSQL refuses it, which the log says."""
        headers = json_safe_headers(letter.headers)
        if letter.undecodable is not None:
            headers["reason"] = letter.undecodable
        values = {
            "id": _id(letter),
            "exchange": DEAD_LETTER_EXCHANGE,
            "queue": _queue(headers),
            "body": letter.body,
            "headers": Jsonb(headers),
            "priority": letter.priority,
        }
        try:
            # The row is all that is left of the letter: a crash of the server must not lose it.
            with self._conn.transaction():
                self._conn.execute("set local synchronous_commit = on")
                self._conn.execute(_SQL.import_letter, values)
        except psycopg.Error as error:
            if self._conn.closed:
                raise
            log.warning(
                "A letter stays in the dead-letter queue, as its row cannot be written: %s",
                str(error).splitlines()[0],
                extra={"action": "dead_letter_failed",
                       "details": {"message_id": letter.message_id}},
            )  # fmt: skip
            return False
        return True


def _row_id(letter: Delivery) -> UUID | None:
    """The row that a letter says it is a copy of; None for a letter that is no copy."""
    try:
        return UUID(str(letter.headers[DEAD_MESSAGE]))
    except (KeyError, ValueError):
        return None


def _queue(headers: dict[str, Any]) -> str:
    """The queue in which a message has died; the dead-letter queue where it does not say."""
    name = headers.get("died_in")
    is_name = isinstance(name, str) and 0 < len(name.encode()) <= _MAX_NAME
    return str(name) if is_name else DEAD_LETTER_QUEUE


def _id(letter: Delivery) -> UUID | None:
    """The id of a message of ours; for others one that follows from theirs; none without one."""
    if not letter.message_id:
        return None
    try:
        return letter.id() if not letter.is_external else _derived(letter)
    except PoisonMessage:
        return _derived(letter)


def _derived(letter: Delivery) -> UUID:
    body = hashlib.sha256(letter.body).hexdigest()
    return uuid5(NAMESPACE_OID, f"{letter.headers.get('died_in')}/{letter.message_id}/{body}")
