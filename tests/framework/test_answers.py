"""Answers to requests: to the queue that waits for them, and not for ever to one that is gone."""

from __future__ import annotations

from datetime import timedelta

from pizza.framework.task import publish

from .stage import Stage, wait_until


def test_an_answer_finds_its_request(stage: Stage) -> None:
    relay = stage.relay()
    with stage.broker() as channel:
        queue = channel.queue_declare("", exclusive=True).queue
        publish(stage.conn, "", queue, {"ok": True}, correlation_id="7", headers={"a": 1})
        found = wait_until(lambda: channel.basic_get(queue, no_ack=True), 5, "the answer")
    assert found.body in (b'{"ok":true}', '{"ok":true}')
    assert found.properties["correlation_id"] == "7"
    assert found.properties["application_headers"] == {"a": 1}
    assert not relay.tracebacks()


def test_an_answer_that_nobody_waits_for_is_given_up(stage: Stage) -> None:
    relay = stage.relay()
    answer = publish(stage.conn, "", "gone", {"ok": True}, expires=timedelta(seconds=1))
    kept = publish(stage.conn, "", "gone too", {"ok": True})
    given_up = relay.await_log("message_expired", 10)
    assert given_up["details"]["message_id"] == str(answer)
    assert stage.rows("select id from message") == [(kept,)]
    # And one that is waited for goes out even when it is late
    publish(stage.conn, stage.prefix, "event.x", {"n": 1}, expires=timedelta(seconds=-1))
    wait_until(lambda: stage.ready(stage.toy.events) == 1, 5, "it is there")
