"""A model of RabbitMQ: queues with priorities, and what goes wrong with them.

A message is durable once its confirm was sent; before that a crash loses it. Queues take their
time, each its own, so messages of two queues overtake each other. What a lost connection held
comes back marked as redelivered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pizza.taskqueue.topology import DEAD_LETTER_EXCHANGE, DEAD_LETTER_QUEUE

from .scheduler import Process, Scheduler

if TYPE_CHECKING:
    from .link import SimulatedBroker

EVENTS = "events"


class Copy:
    """A message in a queue."""

    __slots__ = ("body", "durable", "gone", "properties", "ready_at", "redelivered", "seq")

    def __init__(self, message: Any, seq: int, ready_at: float) -> None:
        self.properties, self.body = message.properties, message.body
        self.seq, self.ready_at = seq, ready_at
        self.durable = self.gone = self.redelivered = False

    @property
    def sort_key(self) -> tuple[int, int]:
        return -(self.properties.get("priority") or 0), self.seq


class QueuedDelivery:
    """A message as py-amqp hands it over."""

    def __init__(self, copy: Copy, tag: int) -> None:
        self.properties, self.body = copy.properties, copy.body
        self.delivery_info = {"delivery_tag": tag, "redelivered": copy.redelivered}


class Server:
    """The broker. seen: every copy that it ever accepted, and where, for the checker.

    accepted: called for each. exempt: ids of messages that a crash has taken from it.
    losing: how many of the next messages it confirms and loses.
    unreachable: processes that have its address wrong."""

    def __init__(self, scheduler: Scheduler, accepted: Callable[[], None]) -> None:
        self.scheduler = scheduler
        self._accepted = accepted
        self.queues: dict[str, list[Copy]] = {}
        self.links: list[SimulatedBroker] = []
        self.down_until = 0.0
        self.refusing = 0.0
        self.losing = 0
        self.slowness = 0.02
        self.seen: list[tuple[str, Copy]] = []
        self.exempt: set[str] = set()
        self.unreachable: set[Process] = set()
        self._seq = 0

    def accept(self, exchange: str, key: str, message: Any) -> Copy | None:
        """Put a message where it belongs; None when no queue would take it."""
        name = {EVENTS: EVENTS, DEAD_LETTER_EXCHANGE: DEAD_LETTER_QUEUE}.get(exchange, key)
        queue = self.queues.get(name)
        if queue is None:
            return None
        self._seq += 1
        delay = self.scheduler.rng.random() * self.slowness
        copy = Copy(message, self._seq, self.scheduler.now + delay)
        self.seen.append((name, copy))
        if self.losing and name not in (EVENTS, DEAD_LETTER_QUEUE):
            self.losing -= 1
            copy.gone = True
            self.exempt.add(copy.properties["message_id"])
            return copy
        queue.append(copy)
        self.scheduler.at(delay, lambda: self.dispatch(name))
        self._accepted()
        return copy

    def dispatch(self, name: str) -> None:
        """Push what is ready to consumers that may have more; any of them, in any order."""
        queue = self.queues.get(name)
        while queue:
            free = [link for link in self.links if link.may_have(name)]
            copy = self.take(name) if free else None
            if copy is None:
                return
            self.scheduler.rng.choice(free).push(name, copy)

    def take(self, name: str) -> Copy | None:
        """The head of a queue."""
        now, queue = self.scheduler.now, self.queues.get(name, [])
        best = min((c for c in queue if c.ready_at <= now), key=lambda c: c.sort_key, default=None)
        if best is not None:
            queue.remove(best)
        return best

    def give_back(self, name: str, copy: Copy) -> None:
        if name in self.queues:
            copy.redelivered = True
            self.queues[name].append(copy)
            self.scheduler.at(0.0, lambda: self.dispatch(name))

    def duplicate(self) -> None:
        """One message more of what was there before."""
        if not self.seen:
            return
        name, old = self.scheduler.rng.choice(self.seen)
        if name not in self.queues or name == EVENTS:
            return
        self.scheduler.note(f"*** a copy of {old.properties['message_id'][-4:]} appears in {name}")
        copy = Copy(old, old.seq, self.scheduler.now)
        copy.durable = True
        self.queues[name].append(copy)
        self.dispatch(name)

    def crash(self, down: float, *, wiped: bool = False) -> None:
        """kill -9 and a start. What is unconfirmed is lost; with the disk, everything is."""
        what = "loses its disk" if wiped else "crashes"
        self.scheduler.note(f"*** RabbitMQ {what}, away for {down:.1f} s")
        self.down_until = self.scheduler.now + down
        for link in list(self.links):
            self.end(link)
        if wiped:
            self.queues.clear()
        for _, copy in self.seen:
            if not copy.gone and (wiped or not copy.durable):
                copy.gone = True
                self.exempt.add(copy.properties["message_id"])
        for queue in self.queues.values():
            queue[:] = [copy for copy in queue if not copy.gone]

    def cut_off(self, process: Process) -> None:
        """From now on a process does not reach the broker."""
        self.unreachable.add(process)
        for link in [each for each in self.links if each.process is process]:
            self.end(link)

    def delivered(self) -> set[str]:
        """The ids of all messages that lie in a queue or with a consumer."""
        copies = [copy for queue in self.queues.values() for copy in queue]
        copies += [copy for link in self.links for _, copy, _ in link.unacked.values()]
        return {copy.properties["message_id"] for copy in copies}

    def end(self, link: SimulatedBroker) -> None:
        """The server's side of a connection's end."""
        if link.ended:
            return
        link.ended = True
        self.links.remove(link)
        for name, copy, _ in link.unacked.values():
            self.give_back(name, copy)
        self.scheduler.wake(link.readers)
