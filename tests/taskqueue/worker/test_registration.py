"""The registry of the application accepts, refuses and removes workers."""

from __future__ import annotations

import signal

from devservices import Postgres

from ...support.taskqueue.worker_process import Harness
from ...support.waiting import Stopwatch, wait_until


def attendance(harness: Harness) -> list[tuple[str, str]]:
    return harness.rows("select worker, event from attendance order by id")


def test_a_refused_worker_does_not_begin(harness: Harness) -> None:
    harness.send()
    worker = harness.worker("unwanted", ready=False)
    assert worker.ends(15) == 1
    assert "RegistrationRefused: unwanted is not wanted here" in "\n".join(worker.tail(3))
    assert not harness.runs()


def test_a_worker_registers_returns_and_unregisters(harness: Harness, postgres: Postgres) -> None:
    worker = harness.worker("regular")
    assert attendance(harness) == [("regular", "enter")]
    postgres.kill9()
    postgres.start()
    worker.await_log("worker_reconnected")
    harness.reconnect()
    job = harness.send()
    harness.await_all_done()
    harness.assert_each_once([job])
    worker.signal(signal.SIGTERM)
    assert worker.ends(5) == 0
    assert attendance(harness) == [("regular", "enter"), ("regular", "enter"), ("regular", "leave")]


def test_a_worker_whose_session_is_cut_keeps_its_job(harness: Harness) -> None:
    worker = harness.worker("cut", lease=15)
    gate = harness.gate()
    job = harness.send("two", until=gate)
    wait_until(lambda: harness.effects()[job] == 1, 5, "its first step has committed")
    harness.cut_session("cut")
    cut = Stopwatch()
    worker.await_log("worker_reconnected")
    cut.assert_within(2)  # noticed at once, not by the next renewal
    gate.open()
    harness.await_all_done()
    assert len(harness.runs()) == 1
    assert harness.effects() == {job: 2}
    assert not worker.log("lease_lost")
