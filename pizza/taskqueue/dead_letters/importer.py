"""Synchronises the dead-letter queue with the table `dead_message`.

Release 0.2 kept dead letters in the queue only, and any program may publish to it: those get a row.
Copies of rows have the header `dead_message`. A copy is removed when its row has been retried or
dropped, or when the queue has a newer copy of the same row.
"""

import logging
import time
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from pizza.database.connection import BoundedConnection
from pizza.database.queries import Queries
from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.taskqueue.dead_letters.headers import derived_id, json_safe_headers
from pizza.taskqueue.dead_letters.management import parse_id
from pizza.taskqueue.logs import log_action
from pizza.taskqueue.message import DEAD_MESSAGE, Delivery
from pizza.taskqueue.topology import DEAD_LETTER_EXCHANGE, DEAD_LETTER_QUEUE

log = logging.getLogger(__name__)

_SQL = Queries("taskqueue/dead_letters")

INTERVAL_S = 10.0
# An unchanged queue and table are compared after this time all the same.
_MAX_INTERVAL_S = 60.0
# Limits of one step and of one pass, since the keeper has other work.
_SLICE = 200
_PASS_LIMIT = 50_000
# Reading takes at most this share of the time.
_MAX_DUTY_CYCLE = 0.1
# Octets of a queue name in AMQP.
_MAX_NAME_BYTES = 255


class DeadLetterImporter:
    """Runs on the keeper's thread and database connection.

    A pass reads the whole queue in several steps. It stores only the delivery tags of copies, and
    requeues the copies at its end; each keeps its place in the queue.

    is_busy: whether a pass has not ended.
    """

    def __init__(self, conn: BoundedConnection) -> None:
        self._conn = conn
        self._broker: BrokerConnection | None = None
        self._next_at = 0.0
        self._last_pass_at = -_MAX_INTERVAL_S
        self._pass_started_at = 0.0
        self._read_count = 0
        self._imported_count = 0
        self.is_busy = False
        self._copies: dict[int, UUID] = {}
        self._unimportable: list[int] = []
        self._last_state: Any = None

    def step(self, broker: BrokerConnection) -> None:
        """Read one slice. A pass starts every INTERVAL_S seconds. Raises BrokerUnavailable.

        A dead letter that gets a row is acknowledged after the commit; the outbox publishes a copy.
        """
        if broker is not self._broker:
            # RabbitMQ has requeued what the former connection had read.
            self._broker = broker
            self.is_busy = False
        now = time.monotonic()
        if not self.is_busy:
            if now < self._next_at:
                return
            self._next_at = now + INTERVAL_S
            if self._is_unchanged(broker):
                return
            self._pass_started_at = now
            self.is_busy = True
            self._read_count = self._imported_count = 0
            self._copies, self._unimportable = {}, []
        try:
            if self._read_slice(broker):
                return
            self._finish_pass(broker)
        except Exception:
            # Unacknowledged messages are invisible to other programs.
            self._requeue_all(broker)
            raise

    def _is_unchanged(self, broker: BrokerConnection) -> bool:
        """Whether queue and table are as at the end of the last pass."""
        count = broker.message_count(DEAD_LETTER_QUEUE)
        if not count:
            return True
        recent = time.monotonic() - self._last_pass_at < _MAX_INTERVAL_S
        return recent and (count, self._table_state()) == self._last_state

    def _read_slice(self, broker: BrokerConnection) -> bool:
        """Read the next dead letters; True when the queue may have more."""
        for _ in range(_SLICE):
            message = broker.get(DEAD_LETTER_QUEUE)
            if message is None:
                return False
            self._read_count += 1
            letter = Delivery.from_amqp(DEAD_LETTER_QUEUE, message)
            copied = parse_id(letter.headers.get(DEAD_MESSAGE))
            if copied is not None:
                self._copies[letter.delivery_tag] = copied
            elif self._import_one(letter):
                broker.ack(letter.delivery_tag)
                self._imported_count += 1
            else:
                self._unimportable.append(letter.delivery_tag)
        return self._read_count < _PASS_LIMIT

    def _finish_pass(self, broker: BrokerConnection) -> None:
        """Remove copies without a row and older copies of a row; requeue the rest."""
        state = self._table_state()
        ids = {"ids": list(self._copies.values())}
        known = {id for (id,) in self._conn.execute(_SQL.find_existing, ids).fetchall()}
        newest = {id: tag for tag, id in self._copies.items() if id in known}
        stale = [tag for tag, id in self._copies.items() if newest.get(id) != tag]
        for tag in stale:
            del self._copies[tag]
            broker.ack(tag)
        remaining = len(self._copies) + len(self._unimportable)
        self._requeue_all(broker)
        self._last_state = None if self._imported_count else (remaining, state)
        self._last_pass_at = time.monotonic()
        took = self._last_pass_at - self._pass_started_at
        self._next_at = self._last_pass_at + max(INTERVAL_S, took / _MAX_DUTY_CYCLE)

    def _requeue_all(self, broker: BrokerConnection) -> None:
        tags, self._copies, self._unimportable = [*self._copies, *self._unimportable], {}, []
        self.is_busy = False
        broker.requeue_many(tags)

    def _table_state(self) -> Any:
        return self._conn.execute(_SQL.table_state).fetchone()

    def _import_one(self, letter: Delivery) -> bool:
        """Insert the row of a dead letter; False, with a warning, when PostgreSQL refuses it."""
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
            # The row becomes the only record, so it must survive a crash of the server.
            with self._conn.transaction():
                self._conn.execute("set local synchronous_commit = on")
                self._conn.execute(_SQL.import_dead_letter, values)
        except psycopg.Error as error:
            if self._conn.closed:
                raise
            reason = str(error).splitlines()[0]
            text = f"A dead letter stays in its queue, as its row cannot be written: {reason}"
            log_action(log.warning, "dead_letter_failed", text, {"message_id": letter.message_id})
            return False
        return True


def _queue(headers: dict[str, Any]) -> str:
    """The queue in which a message died; the dead-letter queue when the header is missing."""
    name = headers.get("died_in")
    is_name = isinstance(name, str) and 0 < len(name.encode()) <= _MAX_NAME_BYTES
    return str(name) if is_name else DEAD_LETTER_QUEUE


def _id(letter: Delivery) -> UUID | None:
    """Our message's id, or one derived from another program's id; None without an id."""
    if not letter.message_id:
        return None
    ours = letter.valid_id if not letter.is_external else None
    return ours or derived_id(letter.headers.get("died_in"), letter)
