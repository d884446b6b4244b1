"""A message may be delivered any number of times; its effect happens once."""

from __future__ import annotations

import signal

import amqp

from ...support.taskqueue.worker_process import Harness
from ...support.waiting import wait_until


def deliver_again(harness: Harness, message: amqp.Message, times: int, colour: str = "red") -> None:
    """Publish copies of a message, as a broker or a relay in trouble would."""
    with harness.broker() as channel:
        for _ in range(times):
            copy = amqp.Message(message.body, **message.properties)
            channel.basic_publish(copy, exchange=harness.prefix, routing_key=colour)


def test_a_hundred_deliveries_to_three_workers_have_one_effect(harness: Harness) -> None:
    relay = harness.relay()
    jobs = harness.send_many(3, "sleep", seconds=0.3)
    jobs.append(harness.send("two", task="once", seconds=0.2))
    harness.await_states(sent=4)
    red = harness.sample.queue("red")
    deliveries = harness.drain(red)
    assert len(deliveries) == 4
    for delivery in deliveries:
        deliver_again(harness, delivery, 100)
    wait_until(lambda: harness.ready(red) == 400, 5, "all copies wait")
    workers = harness.workers(3, no_relay=True)
    harness.await_all_done(30)
    wait_until(lambda: harness.ready(red) == 0, 30, "all copies are acked")
    effects = harness.effects()
    assert [effects[job] for job in jobs] == [1, 1, 1, 2]
    assert (
        len(harness.runs("end")) == len([r for r in harness.runs("end") if r["how"] != "done"]) + 4
    )
    # Then no delivery is left unacknowledged, which would come again with the end of its connection
    for worker in workers:
        worker.signal(signal.SIGTERM)
    assert [worker.ends(10) for worker in workers] == [0, 0, 0]
    assert harness.ready(red) == 0
    assert not [line for worker in [relay, *workers] for line in worker.tracebacks()]


def test_a_late_copy_of_a_done_message_is_dropped(harness: Harness) -> None:
    harness.relay()
    job = harness.send()
    harness.await_states(sent=1)
    delivery = harness.drain(harness.sample.queue("red"))[0]
    deliver_again(harness, delivery, 1)
    worker = harness.worker("w", no_relay=True)
    harness.await_all_done()
    deliver_again(harness, delivery, 100)
    worker.await_log("job_skipped", count=100)
    harness.assert_each_once([job])


def test_a_claim_does_not_wait_for_the_transaction_of_the_job(harness: Harness) -> None:
    harness.relay()
    holder = harness.worker("holder", no_relay=True)
    gate = harness.gate()
    # Given a holder in the middle of its last transaction
    job = harness.send("inside", until=gate, label="x")
    harness.await_run(job)
    delivery = _delivery(harness, job)
    rival = harness.worker("rival", no_relay=True)
    # When a rival gets the message too, then it drops the delivery at once, and works on
    deliver_again(harness, delivery, 1)
    rival.await_log("job_skipped", 5)
    other = harness.send(label="other")
    harness.await_run(other, 5, event="end")
    assert harness.states() == {"claimed": 1}
    gate.open()
    harness.await_all_done()
    harness.assert_each_once([job, other])
    assert harness.shares() == {"holder": 1, "rival": 1}
    assert holder.running


def test_each_verdict_of_a_claim(harness: Harness) -> None:
    slow, urgent = harness.send(colour="red", priority=1), harness.send(colour="blue", priority=9)
    later = harness.send(countdown=60)
    harness.rows("update message set state = 'sent' where state = 'pending' returning 1")
    queues = [harness.sample.queue("red"), harness.sample.queue("blue")]

    def claim(id, forced: bool = False, own: list[str] = queues) -> tuple:
        return harness.rows(
            """select verdict, attempt, better_queue
               from job_claim(%s, 77, %s, %s, null,
                                  (select priority from message where id = %s))""",
            id,
            own,
            forced,
            id,
        )[0]

    # A better one in another of its queues goes first, unless the worker could not fetch it
    assert claim(slow) == ("preempted", None, queues[1])
    assert claim(slow, own=queues[:1])[:2] == ("claimed", 1)
    harness.rows("update message set state = 'sent', holder = null where id = %s returning 1", slow)
    assert claim(slow, forced=True)[:2] == ("claimed", 2)
    assert claim(urgent)[:2] == ("claimed", 1)
    assert claim(urgent)[:2] == ("claimed", 1)  # by its holder, after a loss: no new attempt
    assert claim(later)[0] == "scheduled"
    harness.rows("delete from message where id = %s returning 1", slow)
    assert claim(slow)[0] == "gone"


def _delivery(harness: Harness, job) -> amqp.Message:
    """A second delivery of a message, made from its row."""
    task, body, position = harness.rows(
        "select task, body, position from message where id = %s", job
    )[0]
    return amqp.Message(
        body, message_id=str(job), application_headers={"task": task, "position": position}
    )
