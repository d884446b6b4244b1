"""A job that keeps its transaction open, healthy or frozen, delays no other job."""

from __future__ import annotations

import os
import signal
from uuid import UUID

import amqp

from ...support.taskqueue.pings import Pings
from ...support.taskqueue.worker_process import Harness, Process
from ...support.waiting import Stopwatch, wait_until

LEASE_S = 8.0
LEADER_TIMEOUT_S = 2.0
TAKE_OVER_S = 3.0
LONG_TRANSACTION_S = float(os.environ.get("LONG_TRANSACTION_S", "20"))
_IN_TRANSACTION = """
select 1 from pg_stat_activity
where application_name = %s and datname = current_database() and state = 'idle in transaction'
"""


def holding(harness: Harness, task: str, colour: str, **options: object) -> tuple[Process, UUID]:
    """A worker that is between two statements of its job's last transaction, and that job."""
    body = {key: options.pop(key) for key in ("until", "seconds") if key in options}
    worker = harness.worker(f"{task}-holder", colour, **options)
    job = harness.send("hold", colour, task, **body)
    name = f"sample {task}-holder job"
    wait_until(lambda: harness.rows(_IN_TRANSACTION, name), 10, f"{name} is in its transaction")
    return worker, job


def assert_lives_on(harness: Harness, workers: dict[str, Process]) -> None:
    """Each of these workers, by the colour of its queue, does a next job."""
    for colour, worker in workers.items():
        run = harness.await_run(harness.send(colour=colour), 15, event="end")
        assert run["worker"] == worker.name
        assert not worker.tracebacks()


def test_a_worker_frozen_in_its_transaction_is_replaced_and_no_other_job_waits(
    harness: Harness,
) -> None:
    harness.relay()
    harness.worker("other", "green", no_relay=True)
    gate = harness.gate()
    options = {"no_relay": True, "lease": LEASE_S, "until": gate}
    # Given one of each kind: the claim committed before the block, and within it
    frozen, jobs = {}, {}
    for task, colour in {"play": "red", "once": "blue"}.items():
        frozen[colour], jobs[colour] = holding(harness, task, colour, **options)
    heir = harness.worker("heir", "red,blue", no_relay=True)
    with Pings(harness) as pings:
        for worker in frozen.values():
            worker.freeze()
        stopped = Stopwatch()
        gate.open()
        for job in jobs.values():
            wait_until(lambda job=job: harness.effects()[job], LEASE_S + 10, "another has done it")
            stopped.assert_within(LEASE_S + TAKE_OVER_S)
    pings.assert_quick()
    # When they thaw, then nothing that they have done counts
    heir.signal(signal.SIGTERM)
    assert heir.ends(10) == 0
    for worker in frozen.values():
        worker.thaw()
    assert_lives_on(harness, frozen)
    effects = harness.effects()
    assert [effects[job] for job in jobs.values()] == [1, 1]
    makers = harness.rows(
        "select distinct worker from effect where message_id = any(%s)", list(jobs.values())
    )
    assert makers == [("heir",)]


def test_a_frozen_worker_that_leads_is_replaced_too(harness: Harness) -> None:
    gate = harness.gate()
    worker, job = holding(harness, "play", "red", lease=LEASE_S, until=gate)
    worker.await_log("leader_elected")
    heir = harness.worker("heir", lease=LEASE_S, frozen=LEADER_TIMEOUT_S)
    worker.freeze()
    stopped = Stopwatch()
    gate.open()
    wait_until(lambda: harness.effects()[job], LEASE_S + 20, "another has done it")
    stopped.assert_within(LEADER_TIMEOUT_S + LEASE_S + TAKE_OVER_S)
    assert heir.log("leader_terminated")
    heir.signal(signal.SIGTERM)
    assert heir.ends(10) == 0
    worker.thaw()
    assert_lives_on(harness, {"red": worker})
    assert harness.rows("select worker from effect where message_id = %s", job) == [("heir",)]


def test_a_job_may_hold_its_transaction_for_long(harness: Harness) -> None:
    relay = harness.relay()
    options = {"no_relay": True, "lease": 4, "seconds": LONG_TRANSACTION_S}
    held = [
        holding(harness, task, colour, **options)
        for task, colour in {"play": "red", "once": "blue"}.items()
    ]
    rival = harness.worker("rival", "red,green,blue", no_relay=True)
    # When each is delivered once more meanwhile, then the rival drops that, and waits for nothing
    with Pings(harness) as pings:
        with harness.broker() as channel:
            for (_, job), colour in zip(held, ("red", "blue"), strict=True):
                channel.basic_publish(copy_of(harness, job), harness.prefix, colour)
        wait_until(lambda: len(dropped(rival)) >= 2, 10, "both copies are dropped")
        for _, job in held:
            wait_until(
                lambda job=job: harness.effects()[job], LONG_TRANSACTION_S + 10, "it is done"
            )
    pings.assert_quick()
    harness.await_all_done()
    harness.assert_each_once([*(job for _, job in held), *pings.jobs])
    for worker, job in held:
        assert [run["worker"] for run in harness.runs("begin", job)[:1]] == [worker.name]
        rows = harness.rows("select worker, attempt from effect where message_id = %s", job)
        assert rows == [(worker.name, 1)]
        assert not worker.log("session_lost") + worker.log("lease_lost") + worker.tracebacks()
    assert not relay.log("claim_orphaned") + relay.log("worker_expired")


def dropped(worker: Process) -> list[dict]:
    """The deliveries that a worker has dropped, as the message is another's or locked."""
    return worker.log("job_skipped") + worker.log("job_deferred")


def copy_of(harness: Harness, job: UUID) -> amqp.Message:
    """A delivery of a message, as its row says."""
    task, body, position = harness.rows(
        "select task, body, position from message where id = %s", job
    )[0]
    headers = {"task": task, "position": position}
    return amqp.Message(body, message_id=str(job), application_headers=headers)
