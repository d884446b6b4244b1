"""Many messages at once, and what other programs put into the queues of tasks."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import amqp

from devservices import RabbitMQ

from .worker_process import Harness

_INSERT = """
insert into message (id, state, task, queue, exchange, routing_key, priority, body,
                     created_at, available_at, sent_at)
select gen_random_uuid(), %(state)s, 'play', %(queue)s, %(exchange)s, %(key)s, %(priority)s,
       convert_to('{{"mode": "ok"}}', 'UTF8'),
       now() - %(age)s * interval '1 second', {available}, now() - %(age)s * interval '1 second'
from generate_series(1, %(count)s) n
"""
_PUBLISH = """
select outbox_enqueue_task(gen_random_uuid(), 'play', %s, %s, %s, 0,
                           convert_to('{"mode": "ok"}', 'UTF8'))
from generate_series(1, %s)
"""
ONE_BY_ONE = "now() - %(count)s * interval '1 millisecond' + n * interval '1 millisecond'"


def give_memory(rabbitmq: RabbitMQ, count: int) -> None:
    """Let RabbitMQ hold so many messages: ours blocks its publishers at 1 GB otherwise."""
    if count > 100_000:
        rabbitmq.ctl("set_vm_memory_high_watermark", "absolute", "4GB")


def send_tasks(harness: Harness, count: int, colour: str = "red") -> None:
    """Send tasks in one transaction; the relay publishes them."""
    harness.conn.execute(_PUBLISH, (harness.sample.queue(colour), harness.prefix, colour, count))


def insert_tasks(
    harness: Harness,
    count: int,
    state: str,
    *,
    age: float = 0.0,
    priority: int = 0,
    colour: str = "red",
    available: str = "null",
) -> None:
    """Write rows of tasks as they are in a state, without a delivery at the broker.

    age: seconds since they were sent. available: when they are due, in SQL; n counts them.
    """
    values = {
        "state": state, "queue": harness.sample.queue(colour), "exchange": harness.prefix,
        "key": colour, "priority": priority, "count": count, "age": age,
    }  # fmt: skip
    harness.conn.execute(_INSERT.format(available=available), values)


def put_external(harness: Harness, count: int, colour: str, priority: int = 0) -> None:
    """Put messages of another program into a queue, each confirmed."""
    with harness.broker() as channel:
        channel.confirm_select()
        confirmed: list[int] = []
        channel.events["basic_ack"].add(lambda tag, _multiple: confirmed.append(tag))
        properties: dict[str, Any] = {"delivery_mode": 2, "priority": priority}
        for _ in range(count):
            message = amqp.Message(b'{"mode": "ok"}', message_id=str(uuid4()), **properties)
            channel.basic_publish(message, harness.prefix, colour)
        while count not in confirmed:
            channel.connection.drain_events(timeout=30)
