"""What the broker lost is published again: its whole disk, a queue, the content of a queue."""

from __future__ import annotations

from devservices import RabbitMQ

from ...support.taskqueue.worker_process import Harness
from ...support.waiting import wait_until


def test_the_whole_disk(harness: Harness, rabbitmq: RabbitMQ) -> None:
    worker = harness.worker("w", "red,green", lease=3)
    # Given messages that wait, that are due later, that wait for a retry, and one that runs
    gate = harness.gate()
    busy = harness.send("sleep", until=gate)
    harness.await_run(busy)
    jobs = [busy, *harness.send_many(40), *harness.send_many(40, colour="green")]
    jobs += [harness.send(countdown=4), harness.send("fail", times=1, priority=5)]
    wait_until(lambda: harness.states()["sent"] == 81, 10, "the broker has them")
    # When all of it is gone, topology included
    rabbitmq.wipe()
    gate.open()
    # Then everything is done once, without help
    harness.await_all_done(30)
    harness.assert_each_once(jobs)
    assert len(harness.runs("begin", busy)) == 1
    assert worker.log("messages_sent_again")
    assert not worker.tracebacks()


def test_messages_of_deleted_and_purged_queues_are_published_again(harness: Harness) -> None:
    relay = harness.relay()
    jobs = harness.send_many(20) + harness.send_many(20, colour="green")
    # Given also a job whose holder dies, while its delivery is lost
    holder = harness.worker("holder", "blue", no_relay=True, lease=2)
    gate = harness.gate()
    orphan = harness.send("sleep", "blue", until=gate)
    harness.await_run(orphan)
    harness.await_states(sent=40, claimed=1)
    with harness.broker() as channel:
        channel.queue_delete(harness.sample.queue("red"))
        channel.queue_purge(harness.sample.queue("green"))
        holder.kill9()
        gate.open()
        wait_until(lambda: channel.queue_purge(harness.sample.queue("blue")) == 1, 5, "it is back")
    # Then all are full again before any worker comes
    relay.await_log("messages_sent_again", 25, count=2)
    harness.await_states(sent=41)
    worker = harness.worker("w", "red,green,blue", no_relay=True)
    harness.await_all_done(25)
    # And when a queue is deleted that an idle worker consumes, it connects again
    blue = harness.sample.queue("blue")
    with harness.broker() as channel:
        idle = lambda: channel.queue_declare(blue, passive=True).consumer_count == 1  # noqa: E731
        wait_until(idle, 10, "the worker consumes")
        channel.queue_delete(blue)
    worker.await_log("broker_reconnected", 10)
    jobs += [orphan, harness.send(colour="blue")]
    harness.await_all_done(25)
    harness.assert_each_once(jobs)
    assert harness.await_run(orphan, count=2)["attempt"] == 2
