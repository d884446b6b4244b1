"""Replies go to the queue of the request, and are dropped when it is gone."""

from __future__ import annotations

from pizza.taskqueue.task import publish

from ...support.taskqueue.worker_process import Harness
from ...support.waiting import wait_until


def test_an_answer_finds_its_request(harness: Harness) -> None:
    relay = harness.relay()
    with harness.broker() as channel:
        queue = channel.queue_declare("", exclusive=True).queue
        publish(harness.conn, "", queue, {"ok": True}, correlation_id="7", headers={"a": 1})
        found = wait_until(lambda: channel.basic_get(queue, no_ack=True), 5, "the answer")
    assert found.body in (b'{"ok":true}', '{"ok":true}')
    assert found.properties["correlation_id"] == "7"
    assert found.properties["application_headers"] == {"a": 1}
    assert not relay.tracebacks()


def test_a_reply_to_a_missing_queue_is_dropped(harness: Harness) -> None:
    relay = harness.relay()
    publish(harness.conn, "", "gone", {"ok": True}, correlation_id="7")
    publish(harness.conn, harness.prefix, "event.x", {"n": 1})
    wait_until(lambda: harness.ready(harness.sample.events) == 1, 10, "others go their way")
    harness.await_all_done()
    assert not relay.tracebacks()
