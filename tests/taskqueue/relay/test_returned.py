"""Messages that the broker does not accept are kept, logged and retried, and delay no others."""

from __future__ import annotations

from typing import Any

from pizza.taskqueue.task import publish

from ...support.taskqueue.worker_process import Harness
from ...support.waiting import wait_until


def due_now(harness: Harness) -> None:
    """Make parked messages due at once."""
    harness.rows("update message set available_at = now() where state = 'scheduled' returning 1")


def good_ones(harness: Harness, count: int = 50) -> None:
    for number in range(count):
        publish(harness.conn, harness.prefix, "event.good", {"n": number})


def test_events_that_no_queue_is_bound_for_are_dropped_and_counted(harness: Harness) -> None:
    relay = harness.relay()
    # Given many unroutable events among many valid ones
    with harness.conn.transaction():
        for number in range(40):
            publish(harness.conn, harness.prefix, "nowhere", {"n": number})
            publish(harness.conn, harness.prefix, "event.good", {"n": number})
    harness.await_all_done(5)
    good = list(dict.fromkeys(message.body for message in harness.drain()))
    assert good == [b'{"n":%d}' % n for n in range(40)]
    assert relay.await_log("event_dropped")["details"]["exchange"] == harness.prefix
    tally = harness.rows("select queue, number from message_counter where what = 'unroutable'")
    assert tally == [(harness.prefix, 40)]
    assert not relay.tracebacks()


def test_a_task_without_a_declared_queue_waits_and_becomes_a_dead_letter(harness: Harness) -> None:
    relay = harness.relay()
    job = harness.sample.play.send(
        harness.conn, {"mode": "ok"}, queue="nowhere", routing_key="nowhere"
    )
    good_ones(harness)
    wait_until(lambda: harness.states() == {"scheduled": 1}, 5, "the others have gone")
    relay.await_log("message_parked")
    # When its queue is bound, it goes
    with harness.broker() as channel:
        channel.queue_bind(harness.sample.queue("blue"), harness.prefix, "nowhere")
        due_now(harness)
        harness.await_states(sent=1)
        # And where that never happens, it is a dead letter with its reason
        channel.queue_unbind(harness.sample.queue("blue"), harness.prefix, "nowhere")
    with harness.conn.transaction():
        never = harness.sample.play.send(harness.conn, {}, queue="nowhere", routing_key="nowhere")
        harness.rows("update message set refusals = 11 where id = %s returning 1", never)
    dead = "select id, task, reason from dead_message"
    ((id, task, reason),) = wait_until(lambda: harness.rows(dead), 10, "it is dead")
    assert (id, task) == (never, "play")
    assert reason == "not published: no queue is bound for it (tried 12 times)"
    assert harness.rows("select id from message where task is not null") == [(job,)]


def test_a_message_that_a_full_queue_refuses_is_not_lost(harness: Harness) -> None:
    relay = harness.relay()
    full = f"{harness.prefix}.full"
    with harness.broker() as channel:
        arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
        channel.queue_declare(full, durable=True, auto_delete=False, arguments=arguments)
        channel.queue_bind(full, harness.prefix, "full")
        for number in range(5):
            publish(harness.conn, harness.prefix, "full", {"n": number})
        good_ones(harness)
        relay.await_log("message_parked")
        wait_until(lambda: harness.ready(harness.sample.events) >= 50, 5, "the others have gone")
        # When there is room again, one by one, all arrive, in order once each
        arrived: list[bytes] = []

        def next_one() -> bool:
            message = channel.basic_get(full, no_ack=True)
            if message is not None and message.body not in arrived:
                arrived.append(bytes(message.body))
            due_now(harness)
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


def test_a_message_that_cannot_be_published_delays_no_others(harness: Harness) -> None:
    relay = harness.relay()
    for what in IMPOSSIBLE.values():
        with harness.conn.transaction():
            good_ones(harness, 10)
            usual = {"exchange": harness.prefix, "routing_key": "event.x", "body": {}}
            publish(harness.conn, **usual | what)
            good_ones(harness, 10)
    # Then those that can never be written are dead at once, and the others wait
    wait_until(lambda: harness.states() == {"scheduled": 2}, 20, "the others have gone")
    waiting = dict(harness.rows("select exchange, refusals from message"))
    assert set(waiting) == {"nowhere_at_all", "amq.rabbitmq.trace"}
    dead = harness.rows("select routing_key, reason from dead_message order by 1")
    assert [key for key, _ in dead] == ["event.x", "event.x", "k" * 300]
    assert {why for _, why in dead} == {"not published: it cannot be written as an AMQP message"}
    assert len({message.properties["message_id"] for message in harness.drain()}) == 100
    assert relay.running and not relay.tracebacks()


def test_a_binding_that_a_person_deletes_is_declared_again(harness: Harness) -> None:
    harness.relay()
    with harness.broker() as channel:
        channel.queue_unbind(harness.sample.events, harness.prefix, "event.#")
    good_ones(harness, 20)
    harness.await_all_done(5)
    seen = list(dict.fromkeys(message.body for message in harness.drain()))
    assert seen == [b'{"n":%d}' % n for n in range(20)]


def test_an_exchange_that_a_person_deletes_is_declared_again(harness: Harness) -> None:
    harness.relay()
    good_ones(harness, 1)
    harness.await_all_done(5)
    with harness.broker() as channel:
        channel.exchange_delete(harness.prefix)
    good_ones(harness, 20)
    harness.await_all_done(8)
    assert len({message.properties["message_id"] for message in harness.drain()}) == 21
