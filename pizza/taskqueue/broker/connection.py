"""One connection to RabbitMQ, owned by one thread. Each wait has a limit.

kombu describes the topology. The connection is py-amqp's: kombu's reconnects silently and without
its consumers; this one raises, and its owner makes a new one.
"""

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import amqp
from amqp import spec
from amqp.exceptions import AMQPError

from pizza.taskqueue.broker import address
from pizza.taskqueue.broker.connect import IO_TIMEOUT_S, connect
from pizza.taskqueue.broker.declare import declare
from pizza.taskqueue.broker.errors import translate_amqp_errors
from pizza.taskqueue.broker.frames import FrameReader
from pizza.taskqueue.broker.transport import BufferedTransport
from pizza.taskqueue.errors import BrokerUnavailable, QueueInUse, TopologyRefused
from pizza.taskqueue.lifecycle import wait_readable
from pizza.taskqueue.topology import Topology

HEARTBEAT_S = 10


class BrokerConnection:
    """An open connection with one channel. Not thread-safe; does not survive a fork.

    lost: the BrokerUnavailable that `wait` or `drain_cancelled` has raised.
    blocked: whether RabbitMQ accepts no messages from this connection, because it is short of
        memory or disk space. RabbitMQ notifies a connection after its next publish.
    """

    def __init__(self, url: str, *, name: str, heartbeat: int = HEARTBEAT_S) -> None:
        """Connect and open the channel.

        url: as `address.parse` reads it. name: shown by `rabbitmqctl list_connections`.
        heartbeat: seconds. Raises BrokerUnavailable, and ValueError for an invalid address.
        """
        self._heartbeat = heartbeat
        self._frames = FrameReader()
        self.lost: BrokerUnavailable | None = None
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
            with translate_amqp_errors():
                self.connection.transport.sock.settimeout(IO_TIMEOUT_S)
                self._transport = BufferedTransport(self.connection.transport)
                self.channel: amqp.Channel = self.connection.channel()
            self.channel.auto_decode = False  # bodies stay bytes, whatever their content type
        except BrokerUnavailable:
            self.close()
            raise
        self._heartbeat_sent_at = time.monotonic()

    def _set_blocked(self, blocked: bool) -> None:
        self.blocked = blocked

    @contextmanager
    def _temporary_channel(self) -> Generator[amqp.Channel, None, None]:
        """A second channel, for methods after which the broker may close it.

        py-amqp opens it again after such an error.
        """
        with translate_amqp_errors():
            channel = self.connection.channel()
            yield channel
            channel.close()

    def declare(self, topology: Topology) -> None:
        """Declare all exchanges, queues and bindings; what exists stays as it is.

        Raises BrokerUnavailable. Raises TopologyRefused when something exists with other
        properties, or may not be declared or bound: the rest is declared, the connection open.
        """
        with self._temporary_channel() as channel:
            refusals = declare(channel, topology)
        if refusals:
            raise TopologyRefused(f"RabbitMQ refuses the topology: {'; '.join(refusals)}"[:2000])

    def exchange_exists(self, name: str) -> bool:
        """Whether the exchange exists. Raises BrokerUnavailable."""
        if not name or name.startswith("amq."):
            return True
        with self._temporary_channel() as channel:
            found = True
            try:
                channel.exchange_declare(name, "direct", passive=True)
            except amqp.NotFound:
                found = False
        return found

    def message_count(self, queue: str) -> int | None:
        """The number of ready messages in a queue; None when the queue does not exist."""
        found = self.queue_stats([queue]).get(queue)
        return found[0] if found is not None else None

    def queue_stats(self, queues: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Ready messages and consumers of each queue, by name; missing queues are left out."""
        found = {}
        with self._temporary_channel() as channel:
            for queue in queues:
                try:
                    answer = channel.queue_declare(queue, passive=True)
                except amqp.NotFound:
                    continue
                found[queue] = (answer.message_count, answer.consumer_count)
        return found

    def wait(self, timeout: float, wakeups: Sequence[Any] = ()) -> None:
        """Handle what arrives, for up to `timeout` seconds or until one of `wakeups` is readable.

        wakeups: further files to poll. Returns once the callbacks of the first arrivals have run.
        Sends heartbeats. Raises BrokerUnavailable, also after two missing heartbeats, and sets
        `lost`.
        """
        try:
            with translate_amqp_errors():
                self._wait(timeout, wakeups)
        except BrokerUnavailable as error:
            self.lost = error
            raise

    def _wait(self, timeout: float, wakeups: Sequence[Any]) -> None:
        sock = self._socket()
        if sock is None:
            raise BrokerUnavailable("RabbitMQ closed the connection")
        pause = min(timeout, self._heartbeat / 3)
        try:
            self._transport.flush()
            ours = sock.fileno()
            while self._transport.has_buffered_input or ours in wait_readable(
                [sock, *wakeups], pause
            ):
                self.connection.blocking_read(timeout=IO_TIMEOUT_S)
                pause, wakeups = 0, ()
        except ValueError as error:  # the socket was closed meanwhile
            raise BrokerUnavailable(f"RabbitMQ is not available: {error}") from error
        self._send_heartbeat()

    def _socket(self) -> Any | None:
        """The socket; None once the connection is closed, since py-amqp would reconnect."""
        return self.connection.transport.sock if self.connection.connected else None

    def _send_heartbeat(self) -> None:
        """Send a heartbeat when one is due; raise when two of the broker's are missing.

        The broker sends no heartbeat while it sends other frames, so each frame counts as one.
        """
        now = time.monotonic()
        if now - self._frames.last_at > 2 * self._heartbeat:
            raise BrokerUnavailable(f"RabbitMQ has been silent for {2 * self._heartbeat} seconds")
        if now - self._heartbeat_sent_at > self._heartbeat / 3:
            self._heartbeat_sent_at = now
            self.connection.send_heartbeat()

    def get(self, queue: str) -> Any | None:
        """The head of a queue, unacknowledged; None when it is empty. Raises QueueMissing."""
        with translate_amqp_errors():
            return self.channel.basic_get(queue)

    def consume(self, queues: Sequence[str], callback: Callable[[str, Any], None]) -> None:
        """Start a consumer of each queue, up to the prefetch count, until `cancel`.

        callback: gets the queue's name and the message, on the thread that calls `wait`. When a
        queue is missing, the next call that reads from the broker raises QueueMissing.
        """
        with translate_amqp_errors():
            with self._transport.buffered_writes():
                for queue in queues:
                    self.channel.basic_consume(
                        queue, consumer_tag=queue, nowait=True, callback=partial(callback, queue)
                    )
            self._transport.flush()

    def subscribe(
        self, queue: str, callback: Callable[[Any], None], *, exclusive: bool = False
    ) -> None:
        """Start a consumer that lasts as long as the connection.

        exclusive: as the queue's only consumer. Raises BrokerUnavailable, QueueMissing, and
        QueueInUse when the queue has another consumer.
        """
        try:
            with translate_amqp_errors():
                self.channel.basic_consume(
                    queue, consumer_tag=queue, exclusive=exclusive, callback=callback
                )
        except QueueInUse as error:
            raise QueueInUse(f"somebody else consumes from {queue}") from error

    def cancel(self, queues: Sequence[str]) -> None:
        """Cancel consumers. Deliveries may arrive until `drain_cancelled` returns."""
        with translate_amqp_errors(), self.corked():
            for queue in queues:
                # The broker works in order, so the answer to the last one covers all.
                nowait = queue != queues[-1]
                self.channel.send_method(spec.Basic.Cancel, "sb", (queue, nowait))

    def drain_cancelled(self, queues: Sequence[str]) -> None:
        """Wait until the cancelled consumers have ended. Raises BrokerUnavailable; sets `lost`."""
        until = time.monotonic() + IO_TIMEOUT_S
        while queues[-1] in self.channel.callbacks:
            self.wait(until - time.monotonic())
            if time.monotonic() > until:
                self.lost = BrokerUnavailable("RabbitMQ does not end a consumer")
                raise self.lost

    def prefetch(self, count: int) -> None:
        """Limit the unacknowledged messages of each consumer that starts after this."""
        with translate_amqp_errors():
            self.channel.basic_qos(0, count, False)

    def ack(self, tag: int, *, multiple: bool = False) -> None:
        """Acknowledge a message. The next call of this object sends it, in the same segment.

        multiple: also acknowledge all earlier messages.
        """
        with translate_amqp_errors(), self._transport.buffered_writes():
            self.channel.basic_ack(tag, multiple)

    @contextmanager
    def corked(self) -> Generator[None, None, None]:
        """Send what the block writes in few, large segments. The block must not await an answer."""
        with self._transport.buffered_writes():
            yield
        self._transport.flush()

    def requeue(self, tag: int) -> None:
        """Requeue a message; it keeps its place in the queue."""
        self.requeue_many((tag,))

    def requeue_many(self, tags: Iterable[int]) -> None:
        """Requeue messages in one write; each keeps its place in its queue."""
        with translate_amqp_errors(), self.corked():
            for tag in tags:
                self.channel.basic_reject(tag, requeue=True)

    def close(self) -> None:
        """Close the connection; the close handshake gets at most half a second."""
        try:
            sock = self._socket()
            if sock is not None:
                sock.settimeout(0.5)
            self.connection.close()
        except (AMQPError, OSError, AttributeError):
            self.connection.collect()
