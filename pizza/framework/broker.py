"""One connection to RabbitMQ, owned by one thread, on which no wait lasts for ever.

kombu makes the connection and describes the topology. What runs on it is the raw
py-amqp connection underneath: kombu's own reconnects silently and without its consumers,
this one raises, and whoever owns it builds everything anew.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import amqp
import kombu
from amqp import spec
from amqp.exceptions import AMQPError

from pizza.framework.errors import BrokerUnavailable, QueueTaken
from pizza.framework.lifecycle import readable
from pizza.framework.topology import Topology
from pizza.framework.wire import Wire

CONNECT_TIMEOUT_S = 3
IO_TIMEOUT_S = 5.0
HEARTBEAT_S = 10


@contextmanager
def broker_errors() -> Generator[None, None, None]:
    """Turn what py-amqp raises when the broker is away into BrokerUnavailable.

    Only around calls to the broker: OSError is among the errors, and a job's own must
    not pass for them.
    """
    try:
        yield
    except (AMQPError, OSError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise BrokerUnavailable(f"RabbitMQ is not available: {reason}") from error


class Broker:
    """An open connection with one channel. Not thread-safe; does not survive a fork."""

    def __init__(self, url: str, *, name: str, heartbeat: int = HEARTBEAT_S) -> None:
        """Connect. name: shown by `rabbitmqctl list_connections`. Raises BrokerUnavailable."""
        self._heartbeat = heartbeat
        self.lost: BrokerUnavailable | None = None
        link = kombu.Connection(
            url,
            connect_timeout=CONNECT_TIMEOUT_S,
            heartbeat=heartbeat,
            transport_options={
                "client_properties": {"connection_name": name},
                "socket_settings": {socket.TCP_NODELAY: 1},
                "read_timeout": int(IO_TIMEOUT_S),
                "write_timeout": int(IO_TIMEOUT_S),
            },
        )
        with broker_errors():
            self.connection: amqp.Connection = link.transport.establish_connection()
        try:
            with broker_errors():
                self.connection.transport.sock.settimeout(IO_TIMEOUT_S)
                self._wire = Wire(self.connection.transport)
                self.channel: amqp.Channel = self.connection.channel()
            self.channel.auto_decode = False  # bodies are bytes, whatever their sender called them
        except BrokerUnavailable:
            self.close()
            raise
        self._heard = self._beaten = time.monotonic()

    def declare(self, topology: Topology) -> None:
        """Declare all exchanges, queues and bindings; what exists stays as it is.

        Raises BrokerUnavailable, also when something exists with other properties.
        """
        with broker_errors():
            for exchange in topology.exchanges:
                exchange(self.channel).declare()
            for queue in topology.queues:
                queue(self.channel).declare()

    def declare_apart(self, queue: kombu.Queue) -> bool:
        """Declare a queue that is somebody else's; False when it exists with other properties.

        On a channel of its own, which a refusal closes. Raises BrokerUnavailable.
        """
        with broker_errors():
            apart = self.connection.channel()
            try:
                queue(apart).declare()
            except amqp.PreconditionFailed:
                return False
            apart.close()
            return True

    def ready(self, queue: str) -> int | None:
        """How many messages are ready in a queue; None when there is no such queue."""
        with broker_errors():
            probe = self.connection.channel()
            try:
                count: int = probe.queue_declare(queue, passive=True).message_count
            except amqp.NotFound:
                return None
            probe.close()
            return count

    def depths(self, queues: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Of each queue that there is: how many messages are ready, how many consumers it has."""
        found = {}
        with broker_errors():
            probe = self.connection.channel()
            for queue in queues:
                try:
                    answer = probe.queue_declare(queue, passive=True)
                except amqp.NotFound:  # which closes the channel
                    probe = self.connection.channel()
                else:
                    found[queue] = (answer.message_count, answer.consumer_count)
            probe.close()
        return found

    def purge(self, queue: str) -> None:
        """Throw away what is ready in a queue; what still waits has to be sent again."""
        with broker_errors():
            self.channel.queue_purge(queue)

    def wait(self, timeout: float, also: Sequence[Any] = ()) -> None:
        """Handle what arrives, for up to `timeout` seconds or until one of `also` is readable.

        Returns after the first arrivals were handled (their callbacks have run), and keeps
        the heartbeat meanwhile. Raises BrokerUnavailable, also after two silent heartbeats;
        `lost` keeps it then.
        """
        try:
            self._wait(timeout, also)
        except BrokerUnavailable as error:
            self.lost = error
            raise

    def _wait(self, timeout: float, also: Sequence[Any]) -> None:
        sock = self.connection.transport.sock
        if sock is None:
            raise BrokerUnavailable("RabbitMQ closed the connection")
        pause = min(timeout, self._heartbeat / 3)
        try:
            self._wire.flush()
            ours = sock.fileno()
            while self._wire.ahead or ours in readable([sock, *also], pause):
                self._heard = time.monotonic()
                with broker_errors():
                    self.connection.blocking_read(timeout=IO_TIMEOUT_S)
                pause, also = 0, ()
        except (OSError, ValueError) as error:
            raise BrokerUnavailable(f"RabbitMQ is not available: {error}") from error
        self._beat()

    def _beat(self) -> None:
        """Send a heartbeat when one is due; complain when two of the broker's are missing."""
        now = time.monotonic()
        if now - self._heard > 2 * self._heartbeat:
            raise BrokerUnavailable(f"RabbitMQ has been silent for {2 * self._heartbeat} seconds")
        if now - self._beaten > self._heartbeat / 3:
            self._beaten = now
            with broker_errors():
                self.connection.send_heartbeat()

    def heard(self) -> None:
        """Note that the broker has just answered outside `wait`."""
        self._heard = time.monotonic()

    def get(self, queue: str) -> Any | None:
        """The head of a queue, unacknowledged; None when it is empty."""
        with broker_errors():
            message = self.channel.basic_get(queue)
        self.heard()
        return message

    def consume(self, queues: Sequence[str], callback: Callable[[str, Any], None]) -> None:
        """Have up to the prefetch count of each queue's messages pushed, until `cancel`."""
        with broker_errors():
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

        exclusive: be its only consumer. Raises BrokerUnavailable, QueueTaken when there is another.
        """
        try:
            with broker_errors():
                self.channel.basic_consume(queue, exclusive=exclusive, callback=callback)
        except BrokerUnavailable as error:
            if isinstance(error.__cause__, amqp.AccessRefused) and "exclusive use" in str(error):
                raise QueueTaken(f"somebody else consumes from {queue}") from error
            raise
        self.heard()

    def cancel(self, queues: Sequence[str]) -> None:
        """Ask for the end of the consumers; what they still get is there after `settle`."""
        with broker_errors(), self.together():
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
        with broker_errors():
            self.channel.basic_qos(0, count, False)

    def ack(self, tag: int, *, multiple: bool = False) -> None:
        """Tell the broker that the message is dealt with, by the next call of this object.

        A worker asks for its next ticket then, in the same segment. multiple: and all before it.
        """
        with broker_errors(), self._wire.held():
            self.channel.basic_ack(tag, multiple)

    @contextmanager
    def together(self) -> Generator[None, None, None]:
        """Send what the block writes in few, large pieces. Only for what awaits no answer."""
        with self._wire.held():
            yield
        self._wire.flush()

    def requeue(self, tag: int) -> None:
        """Give the message back; it keeps its place in the queue."""
        with broker_errors():
            self.channel.basic_reject(tag, requeue=True)

    def close(self) -> None:
        """Close the connection, politely only if that takes no time."""
        try:
            sock = self.connection.transport.sock
            if sock is not None:
                sock.settimeout(0.5)
            self.connection.close()
        except (AMQPError, OSError, AttributeError):
            self.connection.collect()
