"""Publishes batches of the outbox, in the order in which messages were written.

Confirmed messages are marked as sent. A refused message is tried again after the topology was
declared; then it is parked, longer each time, and dead-lettered in the end. An event without a
bound queue is dropped and counted. A refused message does not delay those behind it.
"""

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
from pizza.taskqueue.logs import LogThrottle, log_action
from pizza.taskqueue.message import to_amqp
from pizza.taskqueue.retry import RetryPolicy
from pizza.taskqueue.topology import DEAD_LETTER_EXCHANGE

log = logging.getLogger(__name__)

_SQL = Queries("taskqueue/relay")

BATCH_SIZE = 500
BATCH_BYTES = 4_000_000
# Half an hour of growing pauses for messages that the broker refuses.
PARKING = RetryPolicy(
    max_attempts=12, initial_delay=5.0, multiplier=2.0, max_delay=300.0, jitter=0.2
)
_MAX_TRIES = 3
# The topology is declared at most once in this time.
_DECLARE_INTERVAL_S = 1.0
_RETRY_PAUSE_S = 0.05
_LOG_INTERVAL_S = 30.0


class BatchPublisher:
    """Publishes batches. One thread owns it.

    limit: the size of the next batch. unmarked: positions of confirmed messages whose rows another
    transaction has locked; they are marked as sent later.
    """

    def __init__(self) -> None:
        self.limit = BATCH_SIZE
        self.unmarked: set[int] = set()
        self._tries: dict[int, int] = {}
        self._declared_at = -_DECLARE_INTERVAL_S
        # When an (exchange, routing key) was unroutable right after a declaration.
        self._unroutable: dict[tuple[str, str], float] = {}
        self._throttle = LogThrottle(_LOG_INTERVAL_S)

    def publish(
        self,
        conn: BoundedConnection,
        publisher: Publisher,
        rows: Sequence[Any],
        declare: Callable[[], None],
    ) -> None:
        """Publish rows of the query `fetch_pending`, and record the result.

        declare: declares the topology. Raises BrokerUnavailable.
        """
        try:
            refusals = publisher.publish(
                [(row.exchange, row.routing_key, to_amqp(row)) for row in rows]
            )
        except BrokerUnavailable as error:
            # A slow broker gets smaller batches. If an exchange was just deleted, smaller batches
            # isolate its message.
            self.limit = max(1, len(rows) // 2)
            if len(rows) == 1 and isinstance(error.__cause__, amqp.ChannelError):
                self._park(conn, rows[0], str(error))
            raise
        self.limit = min(BATCH_SIZE, self.limit * 2)
        confirmed = [row for row, why in zip(rows, refusals, strict=True) if why is None]
        refused = [(row, why) for row, why in zip(rows, refusals, strict=True) if why is not None]
        unresolved = [each for each in refused if not self._resolve_at_once(conn, *each)]
        if unresolved and self._should_retry_now(*unresolved[0]):
            # Later messages are sent again behind it, so that the order stays.
            first = unresolved[0][0].position
            self.mark_sent(conn, [row.position for row in confirmed if row.position < first])
            declare()
            publisher.forget_missing()
            self._declared_at = time.monotonic()
            time.sleep(_RETRY_PAUSE_S)
            return
        self.mark_sent(conn, [row.position for row in confirmed])
        self._park_or_drop(conn, unresolved)

    def _should_retry_now(self, row: Any, why: Refusal) -> bool:
        """Whether to retry a refused message at once, after a declaration of the topology."""
        tries = self._tries.get(row.position, 0) + 1
        self._tries = {row.position: tries}
        if why is Refusal.NACKED:
            return tries < _MAX_TRIES
        route, now = (row.exchange, row.routing_key), time.monotonic()
        lately = now - self._unroutable.get(route, -_DECLARE_INTERVAL_S) < _DECLARE_INTERVAL_S
        if tries > 1:
            self._unroutable = {
                w: at for w, at in self._unroutable.items() if now - at < _DECLARE_INTERVAL_S
            }
            self._unroutable[route] = now
        return tries == 1 and not lately

    def _resolve_at_once(self, conn: BoundedConnection, row: Any, why: Refusal) -> bool:
        """Dead-letter or park a message for which an immediate retry is useless."""
        if why is Refusal.UNWRITABLE:
            self._dead_letter(conn, row, why.value)
            return True
        lately = time.monotonic() - self._declared_at < _DECLARE_INTERVAL_S
        if why is Refusal.NO_EXCHANGE and lately:
            self._park(conn, row, _reason(row, why))
            return True
        return False

    def _park_or_drop(self, conn: BoundedConnection, refused: list[tuple[Any, Refusal]]) -> None:
        """Drop events without a bound queue; park the rest.

        An event that was retried for one queue is not dropped: the queue may come back.
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
            if self._throttle.is_due(f"dropped {exchange}"):
                what = f"{number} events to exchange {exchange!r}"
                text = f"{what} are dropped: no queue is bound for them"
                details = {"exchange": exchange, "number": number}
                log_action(log.warning, "event_dropped", text, details)

    def _park(self, conn: BoundedConnection, row: Any, reason: str) -> None:
        """Delay a message, longer each time; dead-letter it after the last attempt."""
        refusals = row.refusals + 1
        if refusals >= PARKING.max_attempts:
            self._dead_letter(conn, row, f"{reason} (tried {refusals} times)")
            return
        delay = PARKING.delay(refusals)
        conn.execute(_SQL.park_message, {"positions": [row.position], "delay": delay})
        if self._throttle.is_due(f"parked {row.exchange}"):
            seconds = delay.total_seconds()
            text = f"A message cannot be published, next in {seconds:.0f} s: {reason}"
            log_action(log.warning, "message_parked", text, _details(row))

    def _dead_letter(self, conn: BoundedConnection, row: Any, reason: str) -> None:
        headers = Jsonb(error_headers(row.routing_key, f"not published: {reason}", task=row.task))
        values = {"position": row.position, "exchange": DEAD_LETTER_EXCHANGE, "headers": headers}
        done = _unless_locked(conn, _SQL.dead_letter_unpublishable, values)
        if done is None or row.exchange == DEAD_LETTER_EXCHANGE:
            return  # locked, or the copy of a dead message, whose row stays
        text = f"A message cannot be published and is dead: {reason}"
        log_action(log.error, "message_dead", text, _details(row))

    # -- marking --------------------------------------------------------------------

    def mark_sent(self, conn: BoundedConnection, positions: Sequence[int]) -> None:
        """Mark confirmed messages as sent; those with locked rows later."""
        if not positions:
            return
        try:
            conn.execute(_SQL.mark_sent, {"positions": list(positions)})
        except psycopg.errors.LockNotAvailable:
            self._mark_unlocked(conn, positions)

    def mark_locked(self, conn: BoundedConnection) -> None:
        """Mark messages as sent whose rows were locked before."""
        if self.unmarked:
            self._mark_unlocked(conn, list(self.unmarked))

    def _mark_unlocked(self, conn: BoundedConnection, positions: Sequence[int]) -> None:
        rows = conn.execute(_SQL.mark_sent_unlocked, {"positions": list(positions)}).fetchall()
        self.unmarked -= set(positions)
        self.unmarked |= {position for (position,) in rows}


def _details(row: Any) -> dict[str, Any]:
    return {"message_id": str(row.id), "exchange": row.exchange, "routing_key": row.routing_key}


def _reason(row: Any, why: Refusal) -> str:
    where = f": {row.exchange!r}" if why is Refusal.NO_EXCHANGE else ""
    return f"{why.value}{where}"


def _unless_locked(conn: BoundedConnection, query: str, values: dict[str, Any]) -> list[Any] | None:
    """The rows of a statement; None when a row is locked: the next batch has it again."""
    try:
        return conn.execute(query, values).fetchall()
    except psycopg.errors.LockNotAvailable:
        return None
