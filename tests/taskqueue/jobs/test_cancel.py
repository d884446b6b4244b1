"""Messages that are taken back, or moved in their queue, by who sent them."""

from __future__ import annotations

from pizza.database.queries import Queries
from pizza.taskqueue.task import cancel, set_priority

from ...support.taskqueue.worker_process import Harness
from ...support.waiting import Stopwatch, wait_until


def test_a_message_that_is_withdrawn_while_it_waits_never_runs(stage: Harness) -> None:
    stage.relay()
    jobs = stage.send_many(3)
    stage.await_states(sent=3)
    assert cancel(stage.conn, jobs[1])
    stage.worker("w")
    stage.await_all_done()
    stage.assert_each_once([jobs[0], jobs[2]])
    assert not stage.runs(id=jobs[1])
    assert not cancel(stage.conn, jobs[1])


def test_a_job_that_is_withdrawn_ends_within_a_second(stage: Harness) -> None:
    worker = stage.worker("w")
    job = stage.send("sleep", seconds=60)
    begun = stage.await_run(job)
    assert cancel(stage.conn, job)
    withdrawn = Stopwatch()
    ended = stage.await_run(job, event="end")
    withdrawn.assert_within(2)
    assert ended["how"] == "LeaseLost"
    assert begun["worker"] == "w"
    # and it says what happened, and goes on with the next
    assert worker.await_log("job_cancelled")["level"] == "INFO"
    assert not worker.log("lease_lost")
    after = stage.send()
    stage.await_all_done()
    stage.assert_each_once([after])


def test_what_was_withdrawn_has_no_effect_even_if_its_worker_is_deaf(stage: Harness) -> None:
    worker = stage.worker("w")
    gate = stage.gate()
    job = stage.send("block_two", until=gate)
    stage.await_run(job)
    assert cancel(stage.conn, job)
    gate.open()
    stage.await_run(job, event="end")
    # A job that ends before its worker has heard of it is told by the fence instead.
    told = lambda: worker.log("job_cancelled") or worker.log("lease_lost")  # noqa: E731
    wait_until(told, 10, "it says why")
    assert not stage.effects()


def test_a_withdrawal_is_part_of_the_transaction(stage: Harness) -> None:
    stage.relay()
    job = stage.send()
    stage.await_states(sent=1)
    with stage.conn.transaction(force_rollback=True):
        assert cancel(stage.conn, job)
    stage.worker("w")
    stage.await_all_done()
    stage.assert_each_once([job])


def test_a_waiting_message_moves_in_its_queue_both_ways(stage: Harness) -> None:
    stage.relay()
    jobs = [stage.send(priority=5, label=str(n)) for n in range(4)]
    stage.await_states(sent=4)
    assert set_priority(stage.conn, jobs[3], 9)
    assert set_priority(stage.conn, jobs[0], 1)
    assert not set_priority(stage.conn, jobs[0], 1)
    stage.await_states(sent=4)
    wait_until(
        lambda: stage.ready(stage.sample.queue("red")) == 6, 5, "the new deliveries are there"
    )
    stage.worker("w", no_relay=True)
    stage.await_all_done()
    assert [run["label"] for run in stage.runs()] == ["3", "1", "2", "0"]
    stage.assert_each_once(jobs)


def test_what_runs_keeps_its_priority(stage: Harness) -> None:
    stage.worker("w")
    gate = stage.gate()
    job = stage.send("sleep", until=gate)
    stage.await_run(job)
    assert not set_priority(stage.conn, job, 9)
    gate.open()
    stage.await_all_done()
    stage.assert_each_once([job])


def test_a_message_that_moves_while_it_is_published_gets_a_new_delivery(stage: Harness) -> None:
    """The confirm of its old delivery, which comes after the move, must not count for it."""
    job = stage.send(priority=1)
    query = "select position from message where id = %s"
    row = stage.conn.execute(query, [job]).fetchone()  # the relay has read it, and publishes
    assert row is not None
    assert set_priority(stage.conn, job, 9)
    stage.conn.execute(Queries("taskqueue/relay").mark_sent, {"positions": [row[0]]})
    assert stage.states() == {"pending": 1}
