"""What the publisher does with a batch of the outbox, in the order in which it was written.

What the broker takes is recorded. What it does not take is tried again after a redeclaration of the
topology, waits longer each time, and is a dead letter in the end; an event that no queue is bound
for is dropped and counted. None of them holds up the messages behind it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import amqp
import psycopg
from psycopg.types.json import Jsonb

from pizza.database.connection import BoundedConnection
from pizza.database.queries import Queries
from pizza.taskqueue.broker.publisher import Publisher, Refusal
from pizza.taskqueue.dead_letters.headers import error_headers
from pizza.taskqueue.errors import BrokerUnavailable
from pizza.taskqueue.message import to_amqp
from pizza.taskqueue.retry import RetryPolicy
from pizza.taskqueue.topology import DEAD_LETTER_EXCHANGE

log = logging.getLogger(__name__)

_SQL = Queries("taskqueue/relay")

BATCH = 500
BATCH_BYTES = 4_000_000
# Half an hour of growing pauses for what the broker does not take.
PARKING = RetryPolicy(
    max_attempts=12, initial_delay=5.0, multiplier=2.0, max_delay=300.0, jitter=0.2
)
_TRIES = 3
# A topology that was declared so lately will not route better for being declared again.
_DECLARED_S = 1.0
_TRY_AGAIN_S = 0.05
_SAY_AGAIN_S = 30.0


class Batches:
    """Publishes batches on one database connection at a time.

    limit: how many messages are to be read next. unmarked: positions that the broker has confirmed,
    but whose rows are locked by somebody; they are marked later.
    """

    def __init__(self) -> None:
        self.limit = BATCH
        self.unmarked: set[int] = set()
        self._tries: dict[int, int] = {}
        self._declared_at = -_DECLARED_S
        # Ways (exchange, routing key) that led nowhere right after a declaration, and when.
        self._unroutable: dict[tuple[str, str], float] = {}
        self._said: dict[str, float] = {}

    def publish(
        self,
        conn: BoundedConnection,
        publisher: Publisher,
        rows: Sequence[Any],
        declare: Callable[[], None],
    ) -> None:
        """Publish rows of the query `fetch_pending`, and record what became of them.

        declare: declares the topology. Raises BrokerUnavailable.
        """
        try:
            refusals = publisher.publish(
                [(row.exchange, row.routing_key, to_amqp(row)) for row in rows]
            )
        except BrokerUnavailable as error:
            # A broker that is too slow for so many at once is given fewer. And where an exchange
            # has just vanished, smaller batches find its message.
            self.limit = max(1, len(rows) // 2)
            if len(rows) == 1 and isinstance(error.__cause__, amqp.ChannelError):
                self._park(conn, rows[0], str(error))
            raise
        self.limit = min(BATCH, self.limit * 2)
        taken = [row for row, why in zip(rows, refusals, strict=True) if why is None]
        refused = [(row, why) for row, why in zip(rows, refusals, strict=True) if why is not None]
        unsettled = [each for each in refused if not self._settled_at_once(conn, *each)]
        if unsettled and self._try_again(*unsettled[0]):
            # What comes after it is sent again behind it, so that the order stays.
            first = unsettled[0][0].position
            self.mark(conn, [row.position for row in taken if row.position < first])
            declare()
            publisher.forget_missing()
            self._declared_at = time.monotonic()
            time.sleep(_TRY_AGAIN_S)
            return
        self.mark(conn, [row.position for row in taken])
        self._give_up(conn, unsettled)

    def _try_again(self, row: Any, why: Refusal) -> bool:
        """Whether a refused message may be taken at once, after a declaration of the topology."""
        tries = self._tries.get(row.position, 0) + 1
        self._tries = {row.position: tries}
        if why is Refusal.NACKED:
            return tries < _TRIES
        way, now = (row.exchange, row.routing_key), time.monotonic()
        lately = now - self._unroutable.get(way, -_DECLARED_S) < _DECLARED_S
        if tries > 1:
            self._unroutable = {
                w: at for w, at in self._unroutable.items() if now - at < _DECLARED_S
            }
            self._unroutable[way] = now
        return tries == 1 and not lately

    def _settled_at_once(self, conn: BoundedConnection, row: Any, why: Refusal) -> bool:
        """Settle a message for which another try in this moment is of no use."""
        if why is Refusal.UNWRITABLE:
            self._dead(conn, row, why.value)
            return True
        lately = time.monotonic() - self._declared_at < _DECLARED_S
        if why is Refusal.NO_EXCHANGE and lately:
            self._park(conn, row, _reason(row, why))
            return True
        return False

    def _give_up(self, conn: BoundedConnection, refused: list[tuple[Any, Refusal]]) -> None:
        """Drop events that no queue is bound for; park the rest.

        An event that was sent again to one queue is not dropped: the queue may come back.
        """
        unbound = [
            row.position
            for row, why in refused
            if why is Refusal.UNROUTABLE and row.task is None and row.queue is None
        ]
        for row, why in refused:
            if row.position not in unbound:
                self._park(conn, row, _reason(row, why))
        if not unbound:
            return
        dropped = _unless_locked(conn, _SQL.drop_unroutable_events, {"positions": unbound})
        for exchange, number, _ in dropped or ():
            self._say(
                f"dropped {exchange}", logging.WARNING, "event_dropped",
                f"{number} events to exchange {exchange!r} are dropped: no queue is bound for them",
                {"exchange": exchange, "number": number},
            )  # fmt: skip

    def _park(self, conn: BoundedConnection, row: Any, reason: str) -> None:
        """Let a message wait; longer each time, and in the end it is a dead letter."""
        refusals = row.refusals + 1
        if refusals >= PARKING.max_attempts:
            self._dead(conn, row, f"{reason} (tried {refusals} times)")
            return
        delay = PARKING.delay(refusals)
        conn.execute(_SQL.park_message, {"positions": [row.position], "delay": delay})
        self._say(
            f"parked {row.exchange}", logging.WARNING, "message_parked",
            f"A message cannot be published, next in {delay.total_seconds():.0f} s: {reason}",
            {"message_id": str(row.id), "exchange": row.exchange, "routing_key": row.routing_key},
        )  # fmt: skip

    def _dead(self, conn: BoundedConnection, row: Any, reason: str) -> None:
        headers = error_headers(row.routing_key, f"not published: {reason}", task=row.task)
        values = {"position": row.position, "exchange": DEAD_LETTER_EXCHANGE}
        done = _unless_locked(
            conn, _SQL.dead_letter_unpublishable, values | {"headers": Jsonb(headers)}
        )
        if done is None or row.exchange == DEAD_LETTER_EXCHANGE:
            return  # another time, or the copy of a dead message, whose row stays
        log.error(
            "A message cannot be published and is dead: %s", reason,
            extra={"action": "message_dead",
                   "details": {"message_id": str(row.id), "exchange": row.exchange,
                               "routing_key": row.routing_key}},
        )  # fmt: skip

    # -- marking --------------------------------------------------------------------

    def mark(self, conn: BoundedConnection, positions: Sequence[int]) -> None:
        """Record what the broker has taken. Rows that somebody has locked are recorded later."""
        if not positions:
            return
        try:
            conn.execute(_SQL.mark_sent, {"positions": list(positions)})
        except psycopg.errors.LockNotAvailable:
            self._mark_unlocked(conn, positions)

    def mark_the_rest(self, conn: BoundedConnection) -> None:
        """Try again to record what was locked."""
        if self.unmarked:
            self._mark_unlocked(conn, list(self.unmarked))

    def _mark_unlocked(self, conn: BoundedConnection, positions: Sequence[int]) -> None:
        rows = conn.execute(_SQL.mark_sent_unlocked, {"positions": list(positions)}).fetchall()
        self.unmarked -= set(positions)
        self.unmarked |= {position for (position,) in rows}

    def _say(self, about: str, level: int, action: str, text: str, details: dict[str, Any]) -> None:
        """Log, but not the same again within half a minute."""
        now = time.monotonic()
        if now - self._said.get(about, -_SAY_AGAIN_S) < _SAY_AGAIN_S:
            return
        self._said = {key: at for key, at in self._said.items() if now - at < _SAY_AGAIN_S}
        self._said[about] = now
        log.log(level, text, extra={"action": action, "details": details})


def _reason(row: Any, why: Refusal) -> str:
    where = f": {row.exchange!r}" if why is Refusal.NO_EXCHANGE else ""
    return f"{why.value}{where}"


def _unless_locked(conn: BoundedConnection, query: str, values: dict[str, Any]) -> list[Any] | None:
    """The rows of a statement; None when it would wait for a lock: the next look finds it again."""
    try:
        return conn.execute(query, values).fetchall()
    except psycopg.errors.LockNotAvailable:
        return None
