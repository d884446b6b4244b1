"""Replies to other programs: to which queues they may go, on the real outbox."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from pizza.database.connection import BoundedConnection
from pizza.orders import replies
from pizza.topology import TOPOLOGY, subscriber_queue

OURS = [
    *(queue.name for queue in TOPOLOGY.queues),
    subscriber_queue("front desk").name,
    subscriber_queue(None).name,
    "dead_letter_queue",
    "amq.direct",
]


def sent(conn: BoundedConnection, reply_to: str | None) -> list[tuple[str, str]]:
    with conn.transaction():
        request = SimpleNamespace(reply_to=reply_to, correlation_id="our 17")
        replies.send_reply(conn, request, {"ok": True})
    rows = conn.execute("select exchange, routing_key from message").fetchall()
    conn.execute("delete from message")
    return rows


@pytest.mark.parametrize("queue", ["answers", "amq.gen-JzTY20BRgKO", "amq.rabbitmq.reply-to.g1h2"])
def test_an_answer_goes_to_the_queue_of_the_sender(conn: BoundedConnection, queue: str) -> None:
    assert sent(conn, queue) == [("", queue)]


def test_no_answer_is_sent_into_a_queue_of_the_restaurant(
    conn: BoundedConnection, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert {queue: sent(conn, queue) for queue in OURS} == {queue: [] for queue in OURS}
    assert len(caplog.records) == len(OURS)


def test_without_reply_to_there_is_no_reply(conn: BoundedConnection) -> None:
    assert sent(conn, None) == sent(conn, "") == []
