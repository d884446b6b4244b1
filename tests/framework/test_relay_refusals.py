"""Messages that the broker will not take: kept, said, tried again, and in nobody's way for long."""

from __future__ import annotations

from typing import Any

from pizza.framework.task import publish

from ..pace import wait_until
from .stage import Stage


def due_now(stage: Stage) -> None:
    """Let nobody wait for what was set aside."""
    stage.rows("update message set available_at = now() where state = 'scheduled' returning 1")


def good_ones(stage: Stage, count: int = 50) -> None:
    for number in range(count):
        publish(stage.conn, stage.prefix, "event.good", {"n": number})


def test_what_nobody_would_route_waits_and_holds_up_nobody(stage: Stage) -> None:
    relay = stage.relay()
    # Given many messages that no queue takes, in the midst of many that are fine
    with stage.conn.transaction():
        for number in range(40):
            publish(stage.conn, stage.prefix, "nowhere", {"n": number})
            publish(stage.conn, stage.prefix, "event.good", {"n": number})
    wait_until(lambda: stage.states() == {"scheduled": 40}, 5, "the others have gone")
    assert {message.body for message in stage.drain()} == {b'{"n":%d}' % n for n in range(40)}
    relay.await_log("message_refused")
    assert relay.await_log("message_postponed")["level"] == "ERROR"
    # When somebody takes them, they go too, in order
    with stage.broker() as channel:
        channel.queue_bind(stage.toy.events, stage.prefix, "nowhere")
    due_now(stage)
    stage.await_all_done()
    assert [message.body for message in stage.drain()] == [b'{"n":%d}' % n for n in range(40)]
    assert not relay.tracebacks()


def test_what_a_full_queue_refuses_is_not_lost(stage: Stage) -> None:
    relay = stage.relay()
    full = f"{stage.prefix}.full"
    with stage.broker() as channel:
        arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
        channel.queue_declare(full, durable=True, auto_delete=False, arguments=arguments)
        channel.queue_bind(full, stage.prefix, "full")
        for number in range(5):
            publish(stage.conn, stage.prefix, "full", {"n": number})
        good_ones(stage)
        relay.await_log("message_postponed")
        wait_until(lambda: stage.ready(stage.toy.events) >= 50, 5, "the others have gone")
        # When there is room again, one by one, all arrive, in order once each
        arrived: list[bytes] = []

        def next_one() -> bool:
            message = channel.basic_get(full, no_ack=True)
            if message is not None and message.body not in arrived:
                arrived.append(bytes(message.body))
            due_now(stage)
            return len(arrived) == 5

        wait_until(next_one, 20, "all have arrived")
        channel.queue_delete(full)
    assert sorted(arrived) == [b'{"n":%d}' % n for n in range(5)]


IMPOSSIBLE: dict[str, dict[str, Any]] = {
    "no such exchange": {"exchange": "nowhere_at_all"},
    "an exchange that is none of ours": {"exchange": "amq.rabbitmq.trace"},
    "too long a key": {"routing_key": "k" * 300},
    "a number too large": {"headers": {"n": 2**70}},
    "too long a header": {"headers": {"h" * 300: 1}},
}


def test_what_cannot_be_published_at_all_holds_up_nobody(stage: Stage) -> None:
    relay = stage.relay()
    for what in IMPOSSIBLE.values():
        with stage.conn.transaction():
            good_ones(stage, 10)
            usual = {"exchange": stage.prefix, "routing_key": "event.x", "body": {}}
            publish(stage.conn, **usual | what)
            good_ones(stage, 10)
    wait_until(lambda: stage.states() == {"scheduled": len(IMPOSSIBLE)}, 20, "the others have gone")
    # Then each of them was set aside; on a slow machine the first may be so twice by now
    postponed = {line["details"]["message_id"] for line in relay.log("message_postponed")}
    assert postponed == {str(id) for (id,) in stage.rows("select id from message")}
    assert len({message.properties["message_id"] for message in stage.drain()}) == 100
    assert relay.running and not relay.tracebacks()


def test_a_binding_deleted_by_hand_is_made_again(stage: Stage) -> None:
    stage.relay()
    with stage.broker() as channel:
        channel.queue_unbind(stage.toy.events, stage.prefix, "event.#")
    good_ones(stage, 20)
    stage.await_all_done(5)
    seen = list(dict.fromkeys(message.body for message in stage.drain()))
    assert seen == [b'{"n":%d}' % n for n in range(20)]


def test_an_exchange_deleted_by_hand_is_made_again(stage: Stage) -> None:
    stage.relay()
    good_ones(stage, 1)
    stage.await_all_done(5)
    with stage.broker() as channel:
        channel.exchange_delete(stage.prefix)
    good_ones(stage, 20)
    stage.await_all_done(8)
    assert len({message.properties["message_id"] for message in stage.drain()}) == 21
