"""A failed job becomes due again, and in the end a dead letter."""

from __future__ import annotations

import json
from datetime import datetime

from ...support.taskqueue.sample_app import ATTEMPTS
from ...support.taskqueue.worker_process import Harness
from ...support.waiting import Stopwatch


def test_a_failed_job_is_tried_again_after_growing_waits(harness: Harness) -> None:
    worker = harness.worker("w")
    watch = Stopwatch()
    jobs = harness.send_many(8, "fail", times=2)
    harness.await_all_done()
    harness.assert_each_once(jobs)
    for job in jobs:
        begins = harness.runs("begin", job)
        ends = harness.runs("end", job)
        assert [run["attempt"] for run in begins] == [1, 2, 3]
        for n, (low, high) in enumerate([(0.2, 0.4), (0.4, 0.8)]):
            wait = begins[n + 1]["at"] - ends[n]["at"]
            assert low - 0.02 <= wait, n
            watch.assert_within(high + 1.0, wait)  # late at most, by its neighbours
    # Then the delays differ from each other, and each failure was logged
    assert len(worker.log("job_retried")) == 16
    said = {line["message"].split(" in ")[1].split(":")[0] for line in worker.log("job_retried")}
    assert len(said) > 3


def test_a_waiting_retry_is_a_row_and_delays_no_others(harness: Harness) -> None:
    relay = harness.relay()
    harness.worker("w", no_relay=True)
    gate = harness.gate()
    failing = harness.send("fail", times=1, until=gate)
    harness.await_run(failing)
    other = harness.send()
    harness.await_states(claimed=1, sent=1)
    relay.kill9()  # so that no worker takes it before the check
    gate.open()
    harness.await_states(scheduled=1)
    failed_at = harness.await_run(failing, event="end")["at"]
    (row,) = harness.rows(
        "select attempt, holder, available_at > to_timestamp(%s) from message", failed_at
    )
    assert row == (1, None, True)
    assert harness.effects()[other] == 1  # the other one is done meanwhile
    harness.relay("next")
    harness.await_all_done()
    harness.assert_each_once([failing, other])


def test_after_the_last_attempt_it_is_a_dead_letter_with_the_reason(harness: Harness) -> None:
    worker = harness.worker("w")
    job = harness.send("fail", label="x", priority=3)
    (dead_letter,) = harness.await_dead()
    assert len(harness.runs()) == ATTEMPTS
    headers = dead_letter.properties["application_headers"]
    assert dead_letter.properties["message_id"] == str(job)
    assert headers["reason"] == f"Flaky: attempt {ATTEMPTS} fails as it should"
    assert (headers["task"], headers["attempt"]) == ("play", ATTEMPTS)
    assert (
        headers["died_in"]
        == dead_letter.delivery_info["routing_key"]
        == harness.sample.queue("red")
    )
    assert datetime.fromisoformat(headers["died_at"])
    assert json.loads(dead_letter.body) == {"mode": "fail", "label": "x"}
    assert worker.await_log("job_dead")["level"] == "ERROR"  # which it says after the commit
    tally = harness.rows("select what, queue, number from message_counter order by what")
    assert tally == [("dead", headers["died_in"], 1), ("retried", headers["died_in"], ATTEMPTS - 1)]
    harness.await_all_done()
    assert not harness.effects()


def test_a_task_says_itself_when_it_is_due_again_with_its_effect_in_one_commit(
    harness: Harness,
) -> None:
    harness.worker("w")
    job = harness.send("again", wait=0.3)
    harness.await_all_done()
    harness.await_run(job, count=3, event="end")
    # Given that the first time nothing was tried, so the second has the same number
    rows = harness.rows("select message_id, attempt from effect order by id")
    assert rows == [(job, 1)] * 3  # asking again is no failure
    begins, ends = harness.runs("begin", job), harness.runs("end", job)
    for end, begin in zip(ends, begins[1:], strict=False):
        assert begin["at"] - end["at"] >= 0.25
    assert [run["how"] for run in ends] == ["done"] * 3


def test_when_that_commit_fails_the_policy_decides(harness: Harness) -> None:
    harness.worker("w")
    job = harness.send("again", wait=3600, times=1)
    (dead_letter,) = harness.await_dead()
    assert dead_letter.properties["message_id"] == str(job)
    assert len(harness.runs()) == ATTEMPTS
    assert not harness.effects()


def test_asking_to_be_called_again_is_counted_apart_from_failures(harness: Harness) -> None:
    worker = harness.worker("w")
    asks = 10  # more often than the policy tries
    done = harness.send("again_and_again", asks=asks)
    dead = harness.send("again_and_again", asks=asks, then="fail")
    harness.await_dead()
    harness.await_all_done()
    rows = dict(harness.rows("select message_id, count(*) from effect group by 1"))
    assert rows == {done: asks + 1, dead: asks}
    assert harness.rows("select distinct attempt from effect") == [(1,)]
    counted = harness.rows("select id, attempts, runs from dead_message")
    assert counted == [(dead, ATTEMPTS, asks + ATTEMPTS)]
    assert len(harness.runs("begin", done)) == asks + 1
    assert len(worker.log("job_retried")) == ATTEMPTS - 1


def test_an_error_without_retry_is_a_dead_letter_at_once(harness: Harness) -> None:
    harness.worker("w")
    harness.send("hopeless")
    (dead_letter,) = harness.await_dead()
    assert dead_letter.properties["application_headers"]["reason"] == "Hopeless: no use"
    assert len(harness.runs()) == 1


def test_the_claims_a_task_makes_itself_count_like_all_others(harness: Harness) -> None:
    worker = harness.worker("w")
    # Given one that fails before its claim, one that fails after it, and one that is fine
    before, after = (
        harness.send("fail", task="once"),
        harness.send("send_and_fail", task="once", times=9),
    )
    fine = harness.send("two", task="once")
    dead_letters = harness.await_dead(2)
    assert {dead_letter.properties["message_id"] for dead_letter in dead_letters} == {
        str(before),
        str(after),
    }
    assert {
        dead_letter.properties["application_headers"]["attempt"] for dead_letter in dead_letters
    } == {ATTEMPTS}
    harness.await_all_done()
    assert harness.effects() == {fine: 2}
    assert not worker.tracebacks()


def test_errors_that_look_like_the_frameworks_own_are_the_jobs(harness: Harness) -> None:
    worker = harness.worker("w")
    harness.send("oserror")
    fine = harness.send("after_the_end")
    (dead_letter,) = harness.await_dead()
    assert "FileNotFoundError" in dead_letter.properties["application_headers"]["reason"]
    # What fails after its completion has had its effect, and is not tried again
    harness.await_all_done()
    harness.assert_each_once([fine])
    assert len(harness.runs("begin", fine)) == 1
    worker.await_log("job_failed_late")  # which it says after the commit
    assert not worker.log("lease_lost")
    assert not worker.log("broker_lost")
    assert not worker.tracebacks()


def test_a_manual_claim_in_the_last_attempt_is_dead_lettered_too(harness: Harness) -> None:
    harness.relay()
    for number in range(ATTEMPTS):
        worker = harness.worker(f"victim{number}", no_relay=True)
        if number == 0:
            harness.send("exit_in_transaction", task="once")
        worker.ends(15)
    # Given that a rolled-back claim is no attempt
    (attempt,) = harness.rows("select attempt from message")[0]
    assert attempt == 0
    harness.rows("update message set attempt = %s returning 1", ATTEMPTS)
    worker = harness.worker("heir", no_relay=True)
    (dead_letter,) = harness.await_dead()
    assert "workers died" in dead_letter.properties["application_headers"]["reason"]
    assert not worker.tracebacks()
