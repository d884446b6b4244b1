"""A model of a connection to the broker: deliveries and confirms travel, and may never arrive."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from pizza.taskqueue.errors import BrokerUnavailable

from .broker import Copy, QueuedDelivery, Server
from .scheduler import Killed, Process, Waiters


class Channel:
    """What the publisher uses of py-amqp's channel."""

    def __init__(self, link: SimulatedBroker) -> None:
        self.events: dict[str, set[Any]] = {
            name: set() for name in ("basic_ack", "basic_nack", "basic_return")
        }
        self.out: list[tuple[str, str, Any]] = []
        self.tag = 0
        self._link = link

    def confirm_select(self) -> None:
        self._link.travel()

    def basic_publish(self, message: Any, *, exchange: str, routing_key: str, **_: Any) -> None:
        self.out.append((exchange, routing_key, message))

    def tell(self, event: str, *details: Any) -> None:
        for callback in self.events[event]:
            callback(*details)


class SimulatedBroker:
    """Replaces taskqueue.broker.connection.BrokerConnection: one connection with its channel."""

    def __init__(self, server: Server, process: Process) -> None:
        self.lost: BrokerUnavailable | None = None
        self.blocked = False
        self.ended = self.closed = False
        self.process = process
        self.channel = Channel(self)
        self.unacked: dict[int, tuple[str, Copy, bool]] = {}
        self.consumers: dict[str, Callable[[str, Any], None]] = {}
        self.readers: Waiters = []
        self._inbox: list[Callable[[], None]] = []
        self._acks: list[int] = []
        self._cancelled: list[str] = []
        self._tag = 0
        self._server = server
        self._scheduler = server.scheduler
        self._scheduler.pause(self._scheduler.rng.random() * 0.01)
        if server.down_until > self._scheduler.now or process in server.unreachable:
            raise BrokerUnavailable("RabbitMQ is not available")
        server.links.append(self)
        process.at_death.append(self._left_behind)

    def _left_behind(self) -> None:
        self._scheduler.at(self._scheduler.rng.random() * 0.3, lambda: self._server.end(self))

    # -- the wire ---------------------------------------------------------------------------

    def travel(self) -> None:
        """A call to the server and back: what waited to be sent goes along."""
        self.check()
        self._scheduler.pause(self._scheduler.rng.random() * 0.003)
        self.check()
        for tag in self._acks:
            name, _, _ = self.unacked.pop(tag)
            self._server.dispatch(name)
        self._acks.clear()

    def check(self) -> None:
        if self.process.dead:
            raise Killed
        if self.ended or self.closed:
            raise BrokerUnavailable("RabbitMQ closed the connection")

    def wait(self, timeout: float, wakeups: Sequence[Any] = ()) -> None:
        try:
            if self._acks:
                self.travel()
            if not self._inbox and timeout > 0 and not any(each.is_set() for each in wakeups):
                self.check()
                self._scheduler.block(timeout, self.readers, *(each.waiters for each in wakeups))
            while self._inbox:
                self._inbox.pop(0)()
            self.check()
        except BrokerUnavailable as error:
            self.lost = error
            raise

    def close(self) -> None:
        if not self.process.dead:
            self.closed = True
            self._server.end(self)

    # -- queues -----------------------------------------------------------------------------

    def declare(self, topology: Any) -> None:
        self.travel()
        for queue in topology.queues:
            self._server.queues.setdefault(queue.name, [])

    def queue_stats(self, queues: Any) -> dict[str, tuple[int, int]]:
        self.travel()
        there = self._server.queues
        return {name: (len(there[name]), 0) for name in queues if name in there}

    def message_count(self, queue: str) -> int | None:
        found = self.queue_stats([queue]).get(queue)
        return None if found is None else found[0]

    def exchange_exists(self, name: str) -> bool:
        if name:
            self.travel()
        return True

    def prefetch(self, count: int) -> None:
        assert count == 1

    # -- publishing -------------------------------------------------------------------------

    @contextmanager
    def corked(self) -> Generator[None]:
        yield
        rng, server = self._scheduler.rng, self._server
        out, self.channel.out = self.channel.out, []
        if not out:
            return
        cut = rng.randrange(len(out) + 1)
        for part in (out[:cut], out[cut:]):
            if part:
                self.travel()
                self._arrive(part, rng, server)

    def _arrive(self, part: list[Any], rng: Any, server: Server) -> None:
        for exchange, key, message in part:
            self.channel.tag += 1
            tag = self.channel.tag
            if server.refusing > self._scheduler.now and rng.random() < 0.5:
                self._send(partial(self.channel.tell, "basic_nack", tag, False), [])
                continue
            copy = server.accept(exchange, key, message)
            if copy is not None:
                self._send(partial(self.channel.tell, "basic_ack", tag, False), [copy])
            else:
                self._send(partial(self._returned, tag, exchange, key, message), [])

    def _returned(self, tag: int, exchange: str, key: str, message: Any) -> None:
        self.channel.tell("basic_return", None, exchange, key, message)
        self.channel.tell("basic_ack", tag, False)

    def _send(self, news: Callable[[], None], durable: list[Copy]) -> None:
        """Let something travel to the client; what it confirms is on the disk before."""

        def arrive() -> None:
            for copy in durable:
                copy.durable = not copy.gone
            if not self.ended:
                self._inbox.append(news)
                self._scheduler.wake(self.readers)

        self._scheduler.at(self._server.slowness * 0.5, arrive)

    # -- consuming --------------------------------------------------------------------------

    def consume(self, queues: Sequence[str], callback: Callable[[str, Any], None]) -> None:
        self.travel()
        for queue in queues:
            if queue not in self._server.queues:
                self._server.end(self)
                raise BrokerUnavailable(f"there is no queue {queue}")
            self.consumers[queue] = callback
        for queue in queues:
            self._server.dispatch(queue)

    def may_have(self, queue: str) -> bool:
        if queue not in self.consumers:
            return False
        return not any(n == queue and pushed for n, _, pushed in self.unacked.values())

    def push(self, queue: str, copy: Copy) -> None:
        callback, delivery = self.consumers[queue], self._hold(queue, copy, pushed=True)
        self._inbox.append(lambda: callback(queue, delivery))
        self._scheduler.wake(self.readers)

    def _hold(self, queue: str, copy: Copy, *, pushed: bool) -> QueuedDelivery:
        self._tag += 1
        self.unacked[self._tag] = (queue, copy, pushed)
        return QueuedDelivery(copy, self._tag)

    def cancel(self, queues: Sequence[str]) -> None:
        self._cancelled = list(queues)
        self.check()

    def drain_cancelled(self, _queues: Sequence[str]) -> None:
        try:
            self.travel()
        except BrokerUnavailable as error:
            self.lost = error
            raise
        for queue in self._cancelled:
            self.consumers.pop(queue, None)
        self._cancelled = []
        while self._inbox:
            self._inbox.pop(0)()

    def get(self, queue: str) -> QueuedDelivery | None:
        self.travel()
        copy = self._server.take(queue)
        return None if copy is None else self._hold(queue, copy, pushed=False)

    def ack(self, tag: int) -> None:
        self.check()
        self._acks.append(tag)

    def requeue(self, tag: int) -> None:
        self.requeue_many((tag,))

    def requeue_many(self, tags: Sequence[int]) -> None:
        if not tags:
            return
        self.travel()
        for tag in tags:
            name, copy, _ = self.unacked.pop(tag)
            self._server.give_back(name, copy)
