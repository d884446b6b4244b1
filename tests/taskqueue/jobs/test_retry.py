"""What becomes of a job that fails: rows that become due, and in the end a dead letter."""

from __future__ import annotations

import json
from datetime import datetime

from ...support.taskqueue.sample_app import ATTEMPTS
from ...support.taskqueue.worker_process import Harness
from ...support.waiting import Stopwatch


def test_a_failed_job_is_tried_again_after_growing_waits(stage: Harness) -> None:
    worker = stage.worker("w")
    watch = Stopwatch()
    jobs = stage.send_many(8, "fail", times=2)
    stage.await_all_done()
    stage.assert_each_once(jobs)
    for job in jobs:
        begins = stage.runs("begin", job)
        ends = stage.runs("end", job)
        assert [run["attempt"] for run in begins] == [1, 2, 3]
        for n, (low, high) in enumerate([(0.2, 0.4), (0.4, 0.8)]):
            wait = begins[n + 1]["at"] - ends[n]["at"]
            assert low - 0.02 <= wait, n
            watch.assert_within(high + 1.0, wait)  # late at most, by its neighbours
    # Then the waits differ from each other, and each failure was said
    assert len(worker.log("job_retried")) == 16
    said = {line["message"].split(" in ")[1].split(":")[0] for line in worker.log("job_retried")}
    assert len(said) > 3


def test_a_waiting_retry_is_a_row_and_holds_up_nobody(stage: Harness) -> None:
    relay = stage.relay()
    stage.worker("w", no_relay=True)
    gate = stage.gate()
    failing = stage.send("fail", times=1, until=gate)
    stage.await_run(failing)
    other = stage.send()
    stage.await_states(claimed=1, sent=1)
    relay.kill9()  # so that nobody takes it up again before it has been looked at
    gate.open()
    stage.await_states(scheduled=1)
    failed_at = stage.await_run(failing, event="end")["at"]
    (row,) = stage.rows(
        "select attempt, holder, available_at > to_timestamp(%s) from message", failed_at
    )
    assert row == (1, None, True)
    assert stage.effects()[other] == 1  # the other one is done meanwhile
    stage.relay("next")
    stage.await_all_done()
    stage.assert_each_once([failing, other])


def test_after_the_last_attempt_it_is_a_dead_letter_with_the_reason(stage: Harness) -> None:
    worker = stage.worker("w")
    job = stage.send("fail", label="x", priority=3)
    (letter,) = stage.await_dead()
    assert len(stage.runs()) == ATTEMPTS
    headers = letter.properties["application_headers"]
    assert letter.properties["message_id"] == str(job)
    assert headers["reason"] == f"Flaky: attempt {ATTEMPTS} fails as it should"
    assert (headers["task"], headers["attempt"]) == ("play", ATTEMPTS)
    assert headers["died_in"] == letter.delivery_info["routing_key"] == stage.sample.queue("red")
    assert datetime.fromisoformat(headers["died_at"])
    assert json.loads(letter.body) == {"mode": "fail", "label": "x"}
    assert worker.await_log("job_dead")["level"] == "ERROR"  # which it says after the commit
    tally = stage.rows("select what, queue, number from message_tally order by what")
    assert tally == [("dead", headers["died_in"], 1), ("retried", headers["died_in"], ATTEMPTS - 1)]
    stage.await_all_done()
    assert not stage.effects()


def test_a_task_says_itself_when_it_is_due_again_with_its_effect_in_one_commit(
    stage: Harness,
) -> None:
    stage.worker("w")
    job = stage.send("again", wait=0.3)
    stage.await_all_done()
    stage.await_run(job, count=3, event="end")
    # Given that the first time nothing was tried, so the second has the same number
    rows = stage.rows("select message_id, attempt from effect order by id")
    assert rows == [(job, 1)] * 3  # asking again is no failure
    begins, ends = stage.runs("begin", job), stage.runs("end", job)
    for end, begin in zip(ends, begins[1:], strict=False):
        assert begin["at"] - end["at"] >= 0.25
    assert [run["how"] for run in ends] == ["done"] * 3


def test_when_that_commit_fails_the_policy_decides(stage: Harness) -> None:
    stage.worker("w")
    job = stage.send("again", wait=3600, times=1)
    (letter,) = stage.await_dead()
    assert letter.properties["message_id"] == str(job)
    assert len(stage.runs()) == ATTEMPTS
    assert not stage.effects()


def test_asking_to_be_called_again_is_counted_apart_from_failures(stage: Harness) -> None:
    worker = stage.worker("w")
    asks = 10  # more often than the policy tries
    done = stage.send("again_and_again", asks=asks)
    dead = stage.send("again_and_again", asks=asks, then="fail")
    stage.await_dead()
    stage.await_all_done()
    rows = dict(stage.rows("select message_id, count(*) from effect group by 1"))
    assert rows == {done: asks + 1, dead: asks}
    assert stage.rows("select distinct attempt from effect") == [(1,)]
    counted = stage.rows("select id, attempts, runs from dead_message")
    assert counted == [(dead, ATTEMPTS, asks + ATTEMPTS)]
    assert len(stage.runs("begin", done)) == asks + 1
    assert len(worker.log("job_retried")) == ATTEMPTS - 1


def test_what_is_hopeless_dies_at_once(stage: Harness) -> None:
    stage.worker("w")
    stage.send("hopeless")
    (letter,) = stage.await_dead()
    assert letter.properties["application_headers"]["reason"] == "Hopeless: no use"
    assert len(stage.runs()) == 1


def test_the_claims_a_task_makes_itself_count_like_all_others(stage: Harness) -> None:
    worker = stage.worker("w")
    # Given one that fails before its claim, one that fails after it, and one that is fine
    before, after = (
        stage.send("fail", task="once"),
        stage.send("send_and_fail", task="once", times=9),
    )
    fine = stage.send("two", task="once")
    letters = stage.await_dead(2)
    assert {letter.properties["message_id"] for letter in letters} == {str(before), str(after)}
    assert {letter.properties["application_headers"]["attempt"] for letter in letters} == {ATTEMPTS}
    stage.await_all_done()
    assert stage.effects() == {fine: 2}
    assert not worker.tracebacks()


def test_errors_that_look_like_the_frameworks_own_are_the_jobs(stage: Harness) -> None:
    worker = stage.worker("w")
    stage.send("oserror")
    fine = stage.send("after_the_end")
    (letter,) = stage.await_dead()
    assert "FileNotFoundError" in letter.properties["application_headers"]["reason"]
    # What fails after its completion has had its effect, and is not tried again
    stage.await_all_done()
    stage.assert_each_once([fine])
    assert len(stage.runs("begin", fine)) == 1
    worker.await_log("job_failed_late")  # which it says after the commit
    assert not worker.log("lease_lost")
    assert not worker.log("broker_lost")
    assert not worker.tracebacks()


def test_a_claim_of_its_own_in_the_last_attempt_is_buried_too(stage: Harness) -> None:
    stage.relay()
    for number in range(ATTEMPTS):
        worker = stage.worker(f"victim{number}", no_relay=True)
        if number == 0:
            stage.send("exit_in_transaction", task="once")
        worker.ends(15)
    # Given that a rolled-back claim is no attempt that anybody could count
    (attempt,) = stage.rows("select attempt from message")[0]
    assert attempt == 0
    stage.rows("update message set attempt = %s returning 1", ATTEMPTS)
    worker = stage.worker("heir", no_relay=True)
    (letter,) = stage.await_dead()
    assert "workers died" in letter.properties["application_headers"]["reason"]
    assert not worker.tracebacks()
