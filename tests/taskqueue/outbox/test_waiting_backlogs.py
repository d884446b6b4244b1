"""No waiting message is dropped, and none is published again while the broker has it."""

from __future__ import annotations

import time

from ...support.taskqueue.backlog import put_external, send_tasks
from ...support.taskqueue.worker_process import Harness, Process
from ...support.waiting import wait_until

# What is lost is sent again after two looks, five seconds after it was sent; looks are two seconds
# apart, or more when they take long.
SOME_LOOKS_S = 10.0


def assert_kept(harness: Harness, relay: Process, colour: str, count: int, seconds: float) -> None:
    """After so long the queue still has as many messages, and none was sent again."""
    queue = harness.sample.queue(colour)
    wait_until(lambda: harness.ready(queue) == count, 30, f"{queue} has {count} messages")
    time.sleep(seconds)
    # Deliveries that the keeper reads return to their queue.
    wait_until(lambda: harness.ready(queue) == count, 2, f"{queue} still has {count} messages")
    assert not relay.log("messages_sent_again")
    assert not relay.tracebacks()


def test_messages_of_other_programs_stay_next_to_one_of_ours(harness: Harness) -> None:
    put_external(harness, 1100, "green")
    relay = harness.relay()
    harness.send(colour="green")
    assert_kept(harness, relay, "green", 1101, seconds=15)


def test_a_burst_behind_an_old_message_is_no_sign_of_a_loss(harness: Harness) -> None:
    relay = harness.relay()
    harness.send()
    harness.await_states(sent=1)
    harness.rows("update message set sent_at = now() - interval '7 seconds' returning 1")
    send_tasks(harness, 1500)
    assert_kept(harness, relay, "red", 1501, seconds=SOME_LOOKS_S)


def test_a_long_queue_without_a_worker_is_not_published_again(harness: Harness) -> None:
    send_tasks(harness, 20_000)
    relay = harness.relay()
    assert_kept(harness, relay, "red", 20_000, seconds=20)
