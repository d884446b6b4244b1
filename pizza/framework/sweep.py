"""What the leading relay looks after beside publishing: due rows, orphans, lost tickets.

The broker may lose its disk. So the number of tickets that ought to lie in each queue is
compared with the number that does, and what is missing twice in a row is sent again; a
ticket too many does no harm, since the claim decides.
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from pizza.database.connection import BoundedConnection
from pizza.database.queries import Queries
from pizza.framework.broker import Broker
from pizza.framework.topology import Topology

log = logging.getLogger(__name__)

_SQL = Queries("relay")

AUDIT_S = 2.0
PATIENCE = timedelta(seconds=5)
# Tickets may be on their way between queue, worker and claim; so many fewer are no loss,
# unless the queue is empty.
IN_HAND = 50
_GAP_S = 4.0
# Tickets of what workers took by their skills lie about when nobody fetches them.
_SURPLUS = 1000


class Sweep:
    """The looking-after of one leader, on its database connection."""

    def __init__(self, conn: BoundedConnection) -> None:
        self._conn = conn
        self._looked = 0.0
        self._audited = 0.0
        self._judge_from = 0.0
        self._short: set[str] = set()

    def tidy(self) -> None:
        """Make due rows pending, and show the claims of vanished workers as waiting."""
        self._conn.execute(_SQL.promote)
        now = time.monotonic()
        gap, self._looked = now - self._looked, now
        if gap > _GAP_S:
            # We, or the server, have slept: leases that seem over may just not have been
            # renewable. Give everybody the time to do it.
            self._judge_from = now + _GAP_S
        if now < self._judge_from:
            return
        for id, task, queue, holder in self._conn.execute(_SQL.orphans).fetchall():
            log.warning(
                "The worker of a message is gone; the message waits again",
                extra={
                    "action": "claim_orphaned",
                    "details": {"message_id": str(id), "task": task, "queue": queue,
                                "holder": holder},
                },
            )  # fmt: skip

    def audit(self, broker: Broker, topology: Topology) -> None:
        """Send again what the broker has lost. Raises BrokerUnavailable."""
        now = time.monotonic()
        if now - self._audited < AUDIT_S:
            return
        self._audited = now
        short = set()
        for queue, waiting in self._conn.execute(_SQL.waiting, {"patience": PATIENCE}).fetchall():
            ready = broker.ready(queue)
            if ready is None:
                broker.declare(topology)
            elif ready > waiting + _SURPLUS:
                broker.purge(queue)
                self._send_again(queue, waiting, ready)
                continue
            if ready is None or ready == 0 or ready + IN_HAND < waiting:
                short.add(queue)
                if queue in self._short:
                    self._send_again(queue, waiting, ready or 0)
        self._short = short

    def _send_again(self, queue: str, waiting: int, ready: int) -> None:
        count = self._conn.execute(_SQL.send_again, {"queue": queue, "patience": PATIENCE}).rowcount
        log.warning(
            "The broker has lost tickets; sending again",
            extra={
                "action": "messages_sent_again",
                "details": {"queue": queue, "waiting": waiting, "ready": ready, "sent": count},
            },
        )
