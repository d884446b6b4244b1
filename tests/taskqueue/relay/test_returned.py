"""Messages that the broker will not take: kept, said, tried again, and in nobody's way for long."""

from __future__ import annotations

from typing import Any

from pizza.taskqueue.task import publish

from ...support.taskqueue.worker_process import Harness
from ...support.waiting import wait_until


def due_now(stage: Harness) -> None:
    """Let nobody wait for what was set aside."""
    stage.rows("update message set available_at = now() where state = 'scheduled' returning 1")


def good_ones(stage: Harness, count: int = 50) -> None:
    for number in range(count):
        publish(stage.conn, stage.prefix, "event.good", {"n": number})


def test_events_that_no_queue_is_bound_for_are_dropped_and_counted(stage: Harness) -> None:
    relay = stage.relay()
    # Given many events that no queue takes, in the midst of many that are fine
    with stage.conn.transaction():
        for number in range(40):
            publish(stage.conn, stage.prefix, "nowhere", {"n": number})
            publish(stage.conn, stage.prefix, "event.good", {"n": number})
    stage.await_all_done(5)
    good = list(dict.fromkeys(message.body for message in stage.drain()))
    assert good == [b'{"n":%d}' % n for n in range(40)]
    assert relay.await_log("event_dropped")["details"]["exchange"] == stage.prefix
    tally = stage.rows("select queue, number from message_tally where what = 'unroutable'")
    assert tally == [(stage.prefix, 40)]
    assert not relay.tracebacks()


def test_a_task_whose_queue_nobody_declares_waits_and_is_dead_in_the_end(stage: Harness) -> None:
    relay = stage.relay()
    job = stage.sample.play.send(stage.conn, {"mode": "ok"}, queue="nowhere", routing_key="nowhere")
    good_ones(stage)
    wait_until(lambda: stage.states() == {"scheduled": 1}, 5, "the others have gone")
    relay.await_log("message_parked")
    # When its queue is bound, it goes
    with stage.broker() as channel:
        channel.queue_bind(stage.sample.queue("blue"), stage.prefix, "nowhere")
        due_now(stage)
        stage.await_states(sent=1)
        # And where that never happens, it is a dead letter with its reason
        channel.queue_unbind(stage.sample.queue("blue"), stage.prefix, "nowhere")
    with stage.conn.transaction():
        never = stage.sample.play.send(stage.conn, {}, queue="nowhere", routing_key="nowhere")
        stage.rows("update message set refusals = 11 where id = %s returning 1", never)
    dead = "select id, task, reason from dead_message"
    ((id, task, reason),) = wait_until(lambda: stage.rows(dead), 10, "it is dead")
    assert (id, task) == (never, "play")
    assert reason == "not published: no queue is bound for it (tried 12 times)"
    assert stage.rows("select id from message where task is not null") == [(job,)]


def test_what_a_full_queue_refuses_is_not_lost(stage: Harness) -> None:
    relay = stage.relay()
    full = f"{stage.prefix}.full"
    with stage.broker() as channel:
        arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
        channel.queue_declare(full, durable=True, auto_delete=False, arguments=arguments)
        channel.queue_bind(full, stage.prefix, "full")
        for number in range(5):
            publish(stage.conn, stage.prefix, "full", {"n": number})
        good_ones(stage)
        relay.await_log("message_parked")
        wait_until(lambda: stage.ready(stage.sample.events) >= 50, 5, "the others have gone")
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


def test_what_cannot_be_published_at_all_holds_up_nobody(stage: Harness) -> None:
    relay = stage.relay()
    for what in IMPOSSIBLE.values():
        with stage.conn.transaction():
            good_ones(stage, 10)
            usual = {"exchange": stage.prefix, "routing_key": "event.x", "body": {}}
            publish(stage.conn, **usual | what)
            good_ones(stage, 10)
    # Then those that nobody could ever write are dead at once, and the others wait
    wait_until(lambda: stage.states() == {"scheduled": 2}, 20, "the others have gone")
    waiting = dict(stage.rows("select exchange, refusals from message"))
    assert set(waiting) == {"nowhere_at_all", "amq.rabbitmq.trace"}
    dead = stage.rows("select routing_key, reason from dead_message order by 1")
    assert [key for key, _ in dead] == ["event.x", "event.x", "k" * 300]
    assert {why for _, why in dead} == {"not published: it cannot be written as an AMQP message"}
    assert len({message.properties["message_id"] for message in stage.drain()}) == 100
    assert relay.running and not relay.tracebacks()


def test_a_binding_deleted_by_hand_is_made_again(stage: Harness) -> None:
    stage.relay()
    with stage.broker() as channel:
        channel.queue_unbind(stage.sample.events, stage.prefix, "event.#")
    good_ones(stage, 20)
    stage.await_all_done(5)
    seen = list(dict.fromkeys(message.body for message in stage.drain()))
    assert seen == [b'{"n":%d}' % n for n in range(20)]


def test_an_exchange_deleted_by_hand_is_made_again(stage: Harness) -> None:
    stage.relay()
    good_ones(stage, 1)
    stage.await_all_done(5)
    with stage.broker() as channel:
        channel.exchange_delete(stage.prefix)
    good_ones(stage, 20)
    stage.await_all_done(8)
    assert len({message.properties["message_id"] for message in stage.drain()}) == 21
