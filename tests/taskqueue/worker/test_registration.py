"""The application's say in who may work: entering, refusing, leaving, coming back."""

from __future__ import annotations

import signal

from devservices import Postgres

from ...support.taskqueue.worker_process import Harness
from ...support.waiting import Stopwatch, wait_until


def attendance(stage: Harness) -> list[tuple[str, str]]:
    return stage.rows("select worker, event from attendance order by id")


def test_a_refused_worker_does_not_begin(stage: Harness) -> None:
    stage.send()
    worker = stage.worker("unwanted", ready=False)
    assert worker.ends(15) == 1
    assert "RegistrationRefused: unwanted is not wanted here" in "\n".join(worker.tail(3))
    assert not stage.runs()


def test_a_worker_enters_comes_back_and_leaves(stage: Harness, postgres: Postgres) -> None:
    worker = stage.worker("regular")
    assert attendance(stage) == [("regular", "enter")]
    postgres.kill9()
    postgres.start()
    worker.await_log("worker_reconnected")
    stage.reconnect()
    job = stage.send()
    stage.await_all_done()
    stage.assert_each_once([job])
    worker.signal(signal.SIGTERM)
    assert worker.ends(5) == 0
    assert attendance(stage) == [("regular", "enter"), ("regular", "enter"), ("regular", "leave")]


def test_a_worker_whose_session_is_cut_keeps_its_job(stage: Harness) -> None:
    worker = stage.worker("cut", lease=15)
    gate = stage.gate()
    job = stage.send("two", until=gate)
    wait_until(lambda: stage.effects()[job] == 1, 5, "its first step has committed")
    stage.cut_session("cut")
    cut = Stopwatch()
    worker.await_log("worker_reconnected")
    cut.assert_within(2)  # noticed at once, not by the next renewal
    gate.open()
    stage.await_all_done()
    assert len(stage.runs()) == 1
    assert stage.effects() == {job: 2}
    assert not worker.log("lease_lost")
