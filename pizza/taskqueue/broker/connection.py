"""One connection to RabbitMQ, owned by one thread, on which no wait lasts for ever.

kombu describes the topology. The connection is py-amqp's: kombu's own reconnects silently and
without its consumers, this one raises, and its owner makes a new one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import amqp
import kombu
from amqp import spec
from amqp.exceptions import AMQPError

from pizza.taskqueue.broker import address
from pizza.taskqueue.broker.connect import IO_TIMEOUT_S, connect
from pizza.taskqueue.broker.declare import declare
from pizza.taskqueue.broker.errors import broker_errors
from pizza.taskqueue.broker.frames import FrameReader
from pizza.taskqueue.broker.transport import Wire
from pizza.taskqueue.errors import BrokerUnavailable, QueueTaken, TopologyRefused
from pizza.taskqueue.lifecycle import readable
from pizza.taskqueue.topology import Topology

__all__ = ["HEARTBEAT_S", "Broker", "broker_errors"]

HEARTBEAT_S = 10


class Broker:
    """An open connection with one channel. Not thread-safe; does not survive a fork.

    lost: the BrokerUnavailable that `wait` or `settle` has raised.
    blocked: whether RabbitMQ takes no messages from this connection, because it is short of memory
        or disk. It says so at the first message that is published meanwhile.
    closed_reason: why the connection or its channel has failed, in any call; None until then.
    """

    def __init__(self, url: str, *, name: str, heartbeat: int = HEARTBEAT_S) -> None:
        """Connect. url: as `broker_address.parse` reads it. name: shown by
        `rabbitmqctl list_connections`. heartbeat: seconds.

        Raises BrokerUnavailable, and ValueError for an address that cannot be read.
        """
        self._heartbeat = heartbeat
        self._frames = FrameReader()
        self.lost: BrokerUnavailable | None = None
        self.closed_reason: str | None = None
        self.blocked = False
        self.connection: amqp.Connection = connect(
            address.parse(url),
            name=name,
            heartbeat=heartbeat,
            frames=self._frames,
            on_blocked=lambda _reason: self._set_blocked(True),
            on_unblocked=lambda: self._set_blocked(False),
        )
        try:
            with broker_errors():
                self.connection.transport.sock.settimeout(IO_TIMEOUT_S)
                self._wire = Wire(self.connection.transport)
                self.channel: amqp.Channel = self.connection.channel()
            self.channel.auto_decode = False  # bodies are bytes, whatever their sender called them
        except BrokerUnavailable:
            self.close()
            raise
        self._beaten = time.monotonic()

    def _set_blocked(self, blocked: bool) -> None:
        self.blocked = blocked

    @contextmanager
    def _errors(self) -> Generator[None, None, None]:
        """As `broker_errors`; `closed_reason` keeps the first."""
        try:
            with broker_errors():
                yield
        except BrokerUnavailable as error:
            self.closed_reason = self.closed_reason or str(error)
            raise

    @contextmanager
    def _probe(self) -> Generator[amqp.Channel, None, None]:
        """A channel for questions that the broker may answer by closing it.

        py-amqp opens it again after an error, so that it can be used for further questions.
        """
        with self._errors():
            channel = self.connection.channel()
            yield channel
            channel.close()

    def declare(self, topology: Topology) -> None:
        """Declare all exchanges, queues and bindings; what exists stays as it is.

        Raises TopologyRefused when something exists with other properties or may not be declared
        or bound (the rest is declared then, and the connection is as good as before), and
        BrokerUnavailable.
        """
        with self._probe() as channel:
            refusals = declare(channel, topology)
        if refusals:
            raise TopologyRefused(f"RabbitMQ refuses the topology: {'; '.join(refusals)}"[:2000])

    def declare_apart(self, queue: kombu.Queue) -> bool:
        """Declare a queue that is somebody else's; False when RabbitMQ refuses it.

        Raises BrokerUnavailable.
        """
        try:
            self.declare(Topology(queues=(queue,)))
        except TopologyRefused:
            return False
        return True

    def exchange_exists(self, name: str) -> bool:
        """Whether there is such an exchange. Raises BrokerUnavailable."""
        if not name or name.startswith("amq."):
            return True
        with self._probe() as channel:
            found = True
            try:
                channel.exchange_declare(name, "direct", passive=True)
            except amqp.NotFound:
                found = False
        return found

    def ready(self, queue: str) -> int | None:
        """How many messages are ready in a queue; None when there is no such queue."""
        found = self.depths([queue]).get(queue)
        return found[0] if found is not None else None

    def depths(self, queues: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Of each queue that there is: how many messages are ready, how many consumers it has."""
        found = {}
        with self._probe() as channel:
            for queue in queues:
                try:
                    answer = channel.queue_declare(queue, passive=True)
                except amqp.NotFound:
                    continue
                found[queue] = (answer.message_count, answer.consumer_count)
        return found

    def wait(self, timeout: float, also: Sequence[Any] = ()) -> None:
        """Handle what arrives, for up to `timeout` seconds or until one of `also` is readable.

        Returns after the first arrivals were handled (their callbacks have run), and keeps
        the heartbeat meanwhile. Raises BrokerUnavailable, also after two silent heartbeats;
        `lost` keeps it then.
        """
        try:
            with self._errors():
                self._wait(timeout, also)
        except BrokerUnavailable as error:
            self.lost = error
            raise

    def _wait(self, timeout: float, also: Sequence[Any]) -> None:
        sock = self._socket()
        if sock is None:
            raise BrokerUnavailable("RabbitMQ closed the connection")
        pause = min(timeout, self._heartbeat / 3)
        try:
            self._wire.flush()
            ours = sock.fileno()
            while self._wire.ahead or ours in readable([sock, *also], pause):
                self.connection.blocking_read(timeout=IO_TIMEOUT_S)
                pause, also = 0, ()
        except ValueError as error:  # the socket was closed meanwhile
            raise BrokerUnavailable(f"RabbitMQ is not available: {error}") from error
        self._beat()

    def _socket(self) -> Any | None:
        """None once the connection is closed: py-amqp would connect again if it were asked."""
        return self.connection.transport.sock if self.connection.connected else None

    def _beat(self) -> None:
        """Send a heartbeat when one is due; raise when two of the broker's are missing.

        The broker sends none while it sends other frames, so each frame counts as one.
        """
        now = time.monotonic()
        if now - self._frames.last_at > 2 * self._heartbeat:
            raise BrokerUnavailable(f"RabbitMQ has been silent for {2 * self._heartbeat} seconds")
        if now - self._beaten > self._heartbeat / 3:
            self._beaten = now
            self.connection.send_heartbeat()

    def get(self, queue: str) -> Any | None:
        """The head of a queue, unacknowledged; None when it is empty. Raises QueueMissing."""
        with self._errors():
            return self.channel.basic_get(queue)

    def consume(self, queues: Sequence[str], callback: Callable[[str, Any], None]) -> None:
        """Have up to the prefetch count of each queue's messages pushed, until `cancel`.

        When there is no such queue, the next call that reads from the broker raises QueueMissing.
        """
        with self._errors():
            with self._wire.held():
                for queue in queues:
                    self.channel.basic_consume(
                        queue, consumer_tag=queue, nowait=True, callback=partial(callback, queue)
                    )
            self._wire.flush()

    def subscribe(
        self, queue: str, callback: Callable[[Any], None], *, exclusive: bool = False
    ) -> None:
        """Have a queue's messages pushed for as long as the connection lasts.

        exclusive: be its only consumer. Raises BrokerUnavailable, QueueMissing, and QueueTaken
        when there is another.
        """
        try:
            with self._errors():
                self.channel.basic_consume(
                    queue, consumer_tag=queue, exclusive=exclusive, callback=callback
                )
        except QueueTaken as error:
            raise QueueTaken(f"somebody else consumes from {queue}") from error

    def cancel(self, queues: Sequence[str]) -> None:
        """Ask for the end of the consumers; what they still get is there after `settle`."""
        with self._errors(), self.together():
            for queue in queues:
                # The broker works in order, so the answer to the last one covers all.
                nowait = queue != queues[-1]
                self.channel.send_method(spec.Basic.Cancel, "sb", (queue, nowait))

    def settle(self, queues: Sequence[str]) -> None:
        """Wait for the end of the cancelled consumers. `lost` keeps a BrokerUnavailable."""
        until = time.monotonic() + IO_TIMEOUT_S
        while queues[-1] in self.channel.callbacks:
            self.wait(until - time.monotonic())
            if time.monotonic() > until:
                self.lost = BrokerUnavailable("RabbitMQ does not end a consumer")
                raise self.lost

    def prefetch(self, count: int) -> None:
        """Unacknowledged messages that each consumer of the channel may hold."""
        with self._errors():
            self.channel.basic_qos(0, count, False)

    def ack(self, tag: int, *, multiple: bool = False) -> None:
        """Tell the broker that the message is dealt with, by the next call of this object.

        A worker asks for its next ticket then, in the same segment. multiple: and all before it.
        """
        with self._errors(), self._wire.held():
            self.channel.basic_ack(tag, multiple)

    @contextmanager
    def together(self) -> Generator[None, None, None]:
        """Send what the block writes in few, large pieces. Only for what awaits no answer."""
        with self._wire.held():
            yield
        self._wire.flush()

    def requeue(self, tag: int) -> None:
        """Give the message back; it keeps its place in the queue."""
        self.requeue_many((tag,))

    def requeue_many(self, tags: Iterable[int]) -> None:
        """Give messages back in one write; each keeps its place in its queue."""
        with self._errors(), self.together():
            for tag in tags:
                self.channel.basic_reject(tag, requeue=True)

    def close(self) -> None:
        """Close the connection, politely only if that takes no time."""
        try:
            sock = self._socket()
            if sock is not None:
                sock.settimeout(0.5)
            self.connection.close()
        except (AMQPError, OSError, AttributeError):
            self.connection.collect()
