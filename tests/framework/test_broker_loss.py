"""What the broker has lost is sent again by itself: its whole disk, a queue, a queue's content."""

from __future__ import annotations

from devservices import RabbitMQ

from .stage import Stage, wait_until


def test_the_whole_disk(stage: Stage, rabbitmq: RabbitMQ) -> None:
    worker = stage.worker("w", "red,green", lease=3)
    # Given messages that wait, that are due later, that wait for a retry, and one in hand
    busy = stage.send("sleep", seconds=1.5)
    stage.await_run(busy)
    jobs = [busy, *stage.send_many(40), *stage.send_many(40, colour="green")]
    jobs += [stage.send(countdown=4), stage.send("fail", times=1, priority=5)]
    wait_until(lambda: stage.states()["sent"] == 81, 10, "the broker has them")
    # When all of it is gone, topology included
    rabbitmq.wipe()
    # Then everything is done once, with nobody's help
    stage.await_all_done(30)
    stage.assert_each_once(jobs)
    assert len(stage.runs("begin", busy)) == 1
    assert worker.log("messages_sent_again")
    assert not worker.tracebacks()


def test_a_queue_deleted_and_a_queue_purged_by_hand(stage: Stage) -> None:
    relay = stage.relay()
    jobs = stage.send_many(20) + stage.send_many(20, colour="green")
    stage.await_states(sent=40)
    with stage.broker() as channel:
        channel.queue_delete(stage.toy.queue("red"))
        channel.queue_purge(stage.toy.queue("green"))
    # Then both are full again before any worker comes
    relay.await_log("messages_sent_again", 20, count=2)
    stage.await_states(sent=40)
    worker = stage.worker("w", "red,green,blue", no_relay=True)
    # And when a worker's own queue is deleted under it, it begins anew
    with stage.broker() as channel:
        channel.queue_delete(stage.toy.queue("blue"))
    worker.await_log("broker_reconnected", 10)
    jobs.append(stage.send(colour="blue"))
    stage.await_all_done(25)
    stage.assert_each_once(jobs)


def test_a_holder_that_dies_with_its_ticket_lost(stage: Stage) -> None:
    stage.relay()
    worker = stage.worker("w", no_relay=True, lease=2)
    job = stage.send("sleep", seconds=60, times=1)
    stage.await_run(job)
    with stage.broker() as channel:
        channel.queue_delete(stage.toy.queue("red"))
    worker.kill9()
    stage.worker("heir", no_relay=True)
    again = stage.await_run(job, within=25, count=2)
    assert (again["worker"], again["attempt"]) == ("heir", 2)
