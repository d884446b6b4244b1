"""Fetching deliveries on one connection to the broker: always the best, and never one too many.

With nothing to do the worker consumes from all of its queues (prefetch 1 each), so RabbitMQ deals
work round robin among idle workers. The first arrival ends that: the consumers are cancelled, the
best of what came is claimed at once, then the rest goes back: no busy worker holds a message that
another could start. After a job the database says in which queue the best message waits, and the
head of that queue is fetched; the claim of a message that was pushed, or is not the one that was
named, checks that nothing better waits in another queue. So order is by priority, then age, across
all queues, and the broker is asked once for each job.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.taskqueue.message import Delivery
from pizza.taskqueue.worker.outcome import Outcome, Result

# After so many looks at another queue in vain, a worker takes what it has.
_LOOKS = 3


@dataclass(frozen=True, slots=True)
class Found:
    """A delivery to work on; forced: whether something better elsewhere need not be looked for."""

    delivery: Delivery
    forced: bool


class Fetcher:
    """One life of a broker connection, as the thread that works sees it."""

    def __init__(self, broker: BrokerConnection, queues: Sequence[str]) -> None:
        self.broker = broker
        self._queues = queues
        self._arrived: list[Delivery] = []  # beside the best
        self._listening = False
        self._hint: str | None = None
        self._looks = 0

    def next(self, wait: Callable[[], bool]) -> Found | None:
        """The next delivery; None when `wait`, called until one arrives, says to give up."""
        found = self._look() or self._listen(wait)
        return Found(found, forced=self._looks >= _LOOKS) if found is not None else None

    def _look(self) -> Delivery | None:
        """The head of the queue that was named as holding the best message."""
        name, self._hint = self._hint, None
        message = self.broker.get(name) if name else None
        return Delivery.from_amqp(name, message) if name and message is not None else None

    def _listen(self, wait: Callable[[], bool]) -> Delivery | None:
        """Consume from all queues until something comes; the best of it."""
        arrived = self._arrived
        arrived.clear()
        self.broker.consume(
            self._queues, lambda name, message: arrived.append(Delivery.from_amqp(name, message))
        )
        self._listening = True
        go_on = True
        while go_on and not arrived:
            go_on = wait()
        self.broker.cancel(self._queues)
        if not go_on:
            self.hand_back()
            return None
        best = min(arrived, key=lambda each: each.sort_key)
        arrived.remove(best)
        return best

    def hand_back(self) -> None:
        """Return what came beside the best, when the cancelled consumers have ended."""
        if not self._listening:
            return
        self._listening = False
        self.broker.drain_cancelled(self._queues)
        for each in self._arrived:
            self.broker.requeue(each.delivery_tag)

    @property
    def holds_more(self) -> bool:
        """Whether there may be something to hand back."""
        return self._listening

    def settle(self, done: Delivery, result: Result) -> None:
        """Ack or requeue a delivery, and note where to look next."""
        self.hand_back()
        if result.requeue:
            self.broker.requeue(done.delivery_tag)
        else:
            self.broker.ack(done.delivery_tag)
        self._hint = result.next_queue
        self._looks = self._looks + 1 if result.outcome is Outcome.BETTER else 0
