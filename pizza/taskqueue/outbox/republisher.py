"""Republishes messages that the broker has lost, and removes stale deliveries from its queues.

The broker may lose its disk, or a queue. The table `message` is authoritative; the broker has one
delivery for each waiting message. Three checks compare the two:

- fewer ready deliveries in a queue than waiting messages: those sent before the check are sent
  again;
- a message waits although a worker got one that was sent later: that message is sent again;
- many more deliveries than messages: those whose message is gone are removed. Messages of other
  programs stay; a queue is never purged.

A surplus delivery does no harm, since the claim decides. All work is done in slices on the keeper's
connections, so the publisher does not wait for it.
"""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.rows import namedtuple_row

from pizza.database.connection import BoundedConnection
from pizza.database.queries import Queries
from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.taskqueue.broker.publisher import Publisher
from pizza.taskqueue.logs import log_action
from pizza.taskqueue.message import Delivery, to_amqp
from pizza.taskqueue.topology import Topology

log = logging.getLogger(__name__)

_SQL = Queries("taskqueue/keeper")

INTERVAL_S = 2.0
# How long after its publication a message of an empty queue may wait for its claim.
LOST_AFTER = timedelta(seconds=5)
# Deliveries between the queue and the claim. If no more than these are missing, none is lost,
# unless the queue is empty.
MAX_IN_HAND = 50
# More stale deliveries than these are removed. Tagged workers leave them in the queue.
SURPLUS = 1000
_SLICE = 500
# The pause after republishing a queue; it doubles each time.
_SHORTEST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 300.0
# A worker has a delivery for a moment before it claims the message.
_OVERTAKEN_AFTER = timedelta(seconds=2)
# Deliveries that one scan gets; no worker can get them meanwhile, and other maintenance waits.
# Stale ones behind them reach the head of the queue later.
_MAX_SCAN = 2000
# Checks take at most this share of the time.
_MAX_DUTY_CYCLE = 0.1
_HIGHEST = 32_767


@dataclass(slots=True)
class _Pass:
    """The republishing of one queue: messages sent before `before`, best first."""

    queue: str
    before: datetime
    priority: int = _HIGHEST
    position: int = -1
    sent: int = 0


class Republisher:
    """Runs on the keeper's thread, database connection and broker connection."""

    def __init__(self, conn: BoundedConnection, topology: Topology) -> None:
        self._conn = conn
        self._topology = topology
        self._publisher: Publisher | None = None
        self._pass: _Pass | None = None
        self._check_at = 0.0
        self._short: dict[str, datetime] = {}
        self._pauses: dict[str, float] = {}
        self._not_before: dict[str, float] = {}
        self._overtaken: set[UUID] = set()
        # Queues that had messages of tasks; deliveries are removed from no others.
        self._task_queues: set[str] = set()
        self._scan_depth = _SLICE

    @property
    def is_busy(self) -> bool:
        """Whether another slice can be sent now."""
        return self._pass is not None

    def use_connection(self, broker: BrokerConnection) -> None:
        """Use a new connection to the broker."""
        self._publisher = Publisher(broker)

    def step(self, broker: BrokerConnection) -> None:
        """Send one slice, or check if it is time. Raises BrokerUnavailable."""
        if self._pass is not None:
            self._send_slice(self._pass)
            return
        began = time.monotonic()
        if began < self._check_at:
            return
        self._check(broker)
        took = time.monotonic() - began
        self._check_at = time.monotonic() + max(INTERVAL_S, took / _MAX_DUTY_CYCLE)

    # -- lost deliveries --------------------------------------------------------------

    def _check(self, broker: BrokerConnection) -> None:
        before = self._conn.fetch_first(_SQL.current_time)[0]
        waiting = [queue for (queue,) in self._conn.execute(_SQL.queues_with_waiting).fetchall()]
        self._task_queues.update(waiting)
        queues = sorted(self._task_queues)
        depths = broker.queue_stats(queues)
        if any(queue not in depths for queue in waiting):
            broker.declare(self._topology)
        in_hand = max(MAX_IN_HAND, self._conn.fetch_first(_SQL.count_workers)[0])
        short: dict[str, datetime] = {}
        for queue in queues:
            ready = depths.get(queue, (0, 0))[0]
            if self._is_short(queue, ready, in_hand, before):
                short[queue] = self._short.get(queue, before)
            elif not self._remove_stale(broker, queue, ready, in_hand, before):
                self._pauses.pop(queue, None)
        lost = [queue for queue in short if queue in self._short]
        self._short = short
        self._republish_overtaken()
        for queue in lost:
            if time.monotonic() >= self._not_before.get(queue, 0.0):
                self._pass = _Pass(queue, short[queue])
                del self._short[queue]
                return

    def _is_short(self, queue: str, ready: int, in_hand: int, before: datetime) -> bool:
        """Whether fewer deliveries are ready than messages wait that were sent before."""
        if ready == 0:
            return self._waiting(queue, before - LOST_AFTER, 1) > 0
        # Messages consumed since the count of the ready ones no longer wait.
        return self._waiting(queue, before, ready + in_hand + 1) > ready + in_hand

    def _waiting(self, queue: str, before: datetime, limit: int) -> int:
        values = {"queue": queue, "before": before, "limit": limit}
        return int(self._conn.fetch_first(_SQL.count_waiting, values)[0])

    def _send_slice(self, current: _Pass) -> None:
        page = {
            "queue": current.queue,
            "priority": current.priority,
            "after": current.position,
            "before": current.before,
            "limit": _SLICE,
        }
        rows = self._rows(_SQL.waiting_page, page)
        if rows:
            self._publish(rows)
            current.sent += len(rows)
            current.position = rows[-1].position
        if len(rows) == _SLICE:
            return
        below = {"queue": current.queue, "below": current.priority}
        priority = self._conn.fetch_first(_SQL.next_priority, below)[0]
        if priority is not None:
            current.priority, current.position = priority, -1
            return
        self._pass = None
        self._back_off(current.queue)
        if current.sent:
            text = "The broker has lost messages; published again"
            self._log_republished(current.queue, current.sent, text)

    def _publish(self, rows: list[Any]) -> None:
        assert self._publisher is not None
        refusals = self._publisher.publish(
            [(row.exchange, row.routing_key, to_amqp(row)) for row in rows]
        )
        taken = [row.id for row, why in zip(rows, refusals, strict=True) if why is None]
        self._conn.execute(_SQL.mark_republished, {"ids": taken})

    # -- overtaken messages -------------------------------------------------------------

    def _republish_overtaken(self) -> None:
        """Republish messages that two checks in a row found behind a later message."""
        seen: set[UUID] = set()
        lost: list[Any] = []
        for queue, priority, sent_at in self._conn.execute(_SQL.newest_claimed).fetchall():
            self._task_queues.add(queue)
            values = {
                "queue": queue,
                "priority": priority,
                "before": sent_at - _OVERTAKEN_AFTER,
                "limit": _SLICE,
            }
            rows = self._rows(_SQL.find_overtaken, values)
            seen |= {row.id for row in rows}
            lost += [row for row in rows if row.id in self._overtaken]
        self._overtaken = seen - {row.id for row in lost}
        if lost:
            self._publish(lost)
            text = "Messages were overtaken by later ones; published again"
            self._log_republished(None, len(lost), text)

    # -- stale deliveries ---------------------------------------------------------------

    def _remove_stale(
        self, broker: BrokerConnection, queue: str, ready: int, in_hand: int, before: datetime
    ) -> bool:
        """Remove deliveries whose message is gone; returns whether the queue has a surplus."""
        most = ready - SURPLUS - in_hand
        if most <= 0 or self._waiting(queue, before, most) >= most:
            return False
        if time.monotonic() < self._not_before.get(queue, 0.0):
            return True
        found: list[Delivery] = []
        while len(found) < self._scan_depth and (message := broker.get(queue)) is not None:
            delivery = Delivery.from_amqp(queue, message)
            found.append(replace(delivery, body=b""))  # bodies may be large
        stale = self._stale(found)
        for each in found:
            if each.delivery_tag in stale:
                broker.ack(each.delivery_tag)
            else:
                broker.requeue(each.delivery_tag)
        if len(stale) * 2 < len(found):
            # The stale ones are deeper in the queue, or are messages of other programs.
            self._scan_depth = min(_MAX_SCAN, self._scan_depth * 2)
            self._back_off(queue)
        if stale:
            text = "Deliveries of messages that are gone; taken out"
            self._log_republished(queue, len(stale), text)
        return True

    def _back_off(self, queue: str) -> None:
        """Skip a queue for a while, longer each time."""
        pause = self._pauses.get(queue, _SHORTEST_PAUSE_S)
        self._not_before[queue] = time.monotonic() + pause
        self._pauses[queue] = min(_LONGEST_PAUSE_S, pause * 2)

    def _stale(self, found: Iterable[Delivery]) -> set[int]:
        """The tags of the framework's deliveries whose message is gone."""
        ours: dict[UUID, tuple[int, int]] = {}
        doubled = set()
        for each in found:
            id = each.valid_id
            if id is None or each.is_external or not isinstance(each.headers.get("position"), int):
                continue
            if id in ours:
                doubled.add(each.delivery_tag)
            else:
                ours[id] = (each.delivery_tag, each.priority)
        values = {"ids": list(ours), "priorities": [priority for _, priority in ours.values()]}
        known = {id for (id,) in self._conn.execute(_SQL.find_deliverable, values).fetchall()}
        return doubled | {tag for id, (tag, _) in ours.items() if id not in known}

    # -- helpers --------------------------------------------------------------------------

    def _rows(self, query: str, values: Any) -> list[Any]:
        with self._conn.cursor(row_factory=namedtuple_row) as cursor:
            return cursor.execute(query, values).fetchall()

    @staticmethod
    def _log_republished(queue: str | None, number: int, text: str) -> None:
        details = {"queue": queue, "number": number}
        log_action(log.warning, "messages_sent_again", text, details)
