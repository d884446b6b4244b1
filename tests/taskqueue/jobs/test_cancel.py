"""The sender cancels messages, or changes their priority."""

from __future__ import annotations

from pizza.database.queries import Queries
from pizza.taskqueue.task import cancel, set_priority

from ...support.taskqueue.worker_process import Harness
from ...support.waiting import Stopwatch, wait_until


def test_a_message_that_is_cancelled_while_it_waits_never_runs(harness: Harness) -> None:
    harness.relay()
    jobs = harness.send_many(3)
    harness.await_states(sent=3)
    assert cancel(harness.conn, jobs[1])
    harness.worker("w")
    harness.await_all_done()
    harness.assert_each_once([jobs[0], jobs[2]])
    assert not harness.runs(id=jobs[1])
    assert not cancel(harness.conn, jobs[1])


def test_a_cancelled_job_ends_within_a_second(harness: Harness) -> None:
    worker = harness.worker("w")
    job = harness.send("sleep", seconds=60)
    begun = harness.await_run(job)
    assert cancel(harness.conn, job)
    cancelled = Stopwatch()
    ended = harness.await_run(job, event="end")
    cancelled.assert_within(2)
    assert ended["how"] == "LeaseLost"
    assert begun["worker"] == "w"
    # and it logs the cancellation, and continues with the next
    assert worker.await_log("job_cancelled")["level"] == "INFO"
    assert not worker.log("lease_lost")
    after = harness.send()
    harness.await_all_done()
    harness.assert_each_once([after])


def test_a_cancelled_job_has_no_effect_even_if_its_worker_is_not_notified(harness: Harness) -> None:
    worker = harness.worker("w")
    gate = harness.gate()
    job = harness.send("block_two", until=gate)
    harness.await_run(job)
    assert cancel(harness.conn, job)
    gate.open()
    harness.await_run(job, event="end")
    # A job that ends before its worker is notified is stopped by the fence instead.
    logged = lambda: worker.log("job_cancelled") or worker.log("lease_lost")  # noqa: E731
    wait_until(logged, 10, "it says why")
    assert not harness.effects()


def test_a_cancellation_is_part_of_the_transaction(harness: Harness) -> None:
    harness.relay()
    job = harness.send()
    harness.await_states(sent=1)
    with harness.conn.transaction(force_rollback=True):
        assert cancel(harness.conn, job)
    harness.worker("w")
    harness.await_all_done()
    harness.assert_each_once([job])


def test_a_waiting_message_moves_in_its_queue_both_ways(harness: Harness) -> None:
    harness.relay()
    jobs = [harness.send(priority=5, label=str(n)) for n in range(4)]
    harness.await_states(sent=4)
    assert set_priority(harness.conn, jobs[3], 9)
    assert set_priority(harness.conn, jobs[0], 1)
    assert not set_priority(harness.conn, jobs[0], 1)
    harness.await_states(sent=4)
    wait_until(
        lambda: harness.ready(harness.sample.queue("red")) == 6, 5, "the new deliveries are there"
    )
    harness.worker("w", no_relay=True)
    harness.await_all_done()
    assert [run["label"] for run in harness.runs()] == ["3", "1", "2", "0"]
    harness.assert_each_once(jobs)


def test_a_running_message_keeps_its_priority(harness: Harness) -> None:
    harness.worker("w")
    gate = harness.gate()
    job = harness.send("sleep", until=gate)
    harness.await_run(job)
    assert not set_priority(harness.conn, job, 9)
    gate.open()
    harness.await_all_done()
    harness.assert_each_once([job])


def test_a_message_that_moves_while_it_is_published_gets_a_new_delivery(harness: Harness) -> None:
    """The confirm of its old delivery, which comes after the move, must not count for it."""
    job = harness.send(priority=1)
    query = "select position from message where id = %s"
    row = harness.conn.execute(query, [job]).fetchone()  # the relay has read it, and publishes
    assert row is not None
    assert set_priority(harness.conn, job, 9)
    harness.conn.execute(Queries("taskqueue/relay").mark_sent, {"positions": [row[0]]})
    assert harness.states() == {"pending": 1}
