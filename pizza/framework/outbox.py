"""What the relay publishes: a batch at a time, in the order in which it was written.

A message that the broker does not take is tried again; the topology is declared anew before that.
In the end it is set aside for a while, so that it holds up nobody else.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import amqp

from pizza.database.connection import BoundedConnection
from pizza.database.queries import Queries
from pizza.framework.errors import BrokerUnavailable
from pizza.framework.message import outgoing
from pizza.framework.publisher import Publisher

log = logging.getLogger(__name__)

_SQL = Queries("relay")

BATCH = 500
_REFUSALS = 3
_POSTPONE = timedelta(seconds=15)


class Outbox:
    """Publishes rows of the outbox; `limit` is how many are to be read next."""

    def __init__(self) -> None:
        self.limit = BATCH
        self._refusals: dict[int, int] = {}

    def publish(self, conn: BoundedConnection, publisher: Publisher, rows: list[Any]) -> bool:
        """Publish rows of the query `pending`, and note what the broker took over.

        False: it would not take one of them, and the topology should be mended before the next
        try. Raises BrokerUnavailable.
        """
        try:
            taken = publisher.publish([(row[3], row[4], outgoing(row)) for row in rows])
        except Exception as error:
            # A broker that is too slow for so many at once is given fewer. And where one of them
            # cannot even be written, or names what does not exist, smaller batches find it.
            self.limit = max(1, len(rows) // 2)
            if isinstance(error, BrokerUnavailable) and not _by_message(error):
                raise
            if len(rows) == 1:
                self._refused(conn, rows)
            raise BrokerUnavailable(f"a message cannot be published: {error}") from error
        self.limit = min(BATCH, self.limit * 2)
        # Up to the first that was not taken: what comes after it is sent again behind it,
        # so that messages never leave in another order than they were written in.
        good = taken.index(False) if False in taken else len(taken)
        if good:
            _confirmed(conn, rows[:good])
            self._refusals.clear()
        if good == len(rows):
            return True
        refused = [row for row, took in zip(rows, taken, strict=True) if not took]
        aside = self._refused(conn, refused)
        if aside:
            _confirmed(conn, [row for row in rows[good:] if row not in refused])
        return aside

    def _refused(self, conn: BoundedConnection, rows: list[Any]) -> bool:
        """The broker would not take messages: in the end they are set aside, which is answered."""
        position, id, _task, exchange, routing_key = rows[0][:5]
        count = self._refusals.get(position, 0) + 1
        self._refusals = {position: count}
        details = {"message_id": str(id), "exchange": exchange, "routing_key": routing_key}
        if count < _REFUSALS:
            log.warning(
                "RabbitMQ did not take a message; declaring the topology again",
                extra={"action": "message_refused", "details": details},
            )
            return False
        log.error(
            "RabbitMQ takes %d messages nowhere; tried again in %s", len(rows), _POSTPONE,
            extra={"action": "message_postponed", "details": details},
        )  # fmt: skip
        positions = [row[0] for row in rows]
        conn.execute(_SQL.drop_replies, {"positions": positions})
        conn.execute(_SQL.postpone, {"positions": positions, "delay": _POSTPONE})
        self._refusals.clear()
        return True


def _confirmed(conn: BoundedConnection, rows: list[Any]) -> None:
    conn.execute(_SQL.confirmed, {"positions": [row[0] for row in rows]})


def _by_message(error: BrokerUnavailable) -> bool:
    """Whether it was a message that made the broker close the channel."""
    return isinstance(error.__cause__, amqp.ChannelError)
