"""What the broker has lost is sent again by itself: its whole disk, a queue, a queue's content."""

from __future__ import annotations

from devservices import RabbitMQ

from ...support.taskqueue.worker_process import Harness
from ...support.waiting import wait_until


def test_the_whole_disk(stage: Harness, rabbitmq: RabbitMQ) -> None:
    worker = stage.worker("w", "red,green", lease=3)
    # Given messages that wait, that are due later, that wait for a retry, and one in hand
    gate = stage.gate()
    busy = stage.send("sleep", until=gate)
    stage.await_run(busy)
    jobs = [busy, *stage.send_many(40), *stage.send_many(40, colour="green")]
    jobs += [stage.send(countdown=4), stage.send("fail", times=1, priority=5)]
    wait_until(lambda: stage.states()["sent"] == 81, 10, "the broker has them")
    # When all of it is gone, topology included
    rabbitmq.wipe()
    gate.open()
    # Then everything is done once, with nobody's help
    stage.await_all_done(30)
    stage.assert_each_once(jobs)
    assert len(stage.runs("begin", busy)) == 1
    assert worker.log("messages_sent_again")
    assert not worker.tracebacks()


def test_queues_deleted_and_purged_by_hand(stage: Harness) -> None:
    relay = stage.relay()
    jobs = stage.send_many(20) + stage.send_many(20, colour="green")
    # Given also a job whose holder dies, while its delivery is lost
    holder = stage.worker("holder", "blue", no_relay=True, lease=2)
    gate = stage.gate()
    orphan = stage.send("sleep", "blue", until=gate)
    stage.await_run(orphan)
    stage.await_states(sent=40, claimed=1)
    with stage.broker() as channel:
        channel.queue_delete(stage.sample.queue("red"))
        channel.queue_purge(stage.sample.queue("green"))
        holder.kill9()
        gate.open()
        wait_until(lambda: channel.queue_purge(stage.sample.queue("blue")) == 1, 5, "it is back")
    # Then all are full again before any worker comes
    relay.await_log("messages_sent_again", 25, count=2)
    stage.await_states(sent=41)
    worker = stage.worker("w", "red,green,blue", no_relay=True)
    stage.await_all_done(25)
    # And when a queue is deleted that an idle worker consumes, it connects again
    blue = stage.sample.queue("blue")
    with stage.broker() as channel:
        idle = lambda: channel.queue_declare(blue, passive=True).consumer_count == 1  # noqa: E731
        wait_until(idle, 10, "the worker consumes")
        channel.queue_delete(blue)
    worker.await_log("broker_reconnected", 10)
    jobs += [orphan, stage.send(colour="blue")]
    stage.await_all_done(25)
    stage.assert_each_once(jobs)
    assert stage.await_run(orphan, count=2)["attempt"] == 2
