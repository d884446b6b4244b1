"""The application that is simulated: tasks that succeed, fail, last, and send more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from kombu import Exchange, Queue

from pizza.taskqueue.app import App
from pizza.taskqueue.job import Job
from pizza.taskqueue.retry import RetryPolicy
from pizza.taskqueue.task import publish
from pizza.taskqueue.topology import Topology

from .broker import EVENTS
from .rules.base import Rule
from .rules.claiming import claim
from .rules.tokens import complete, fence
from .transaction import Transaction

QUEUES = ("red", "blue")
ATTEMPTS = 4

EFFECT = "insert into effect values (%(job_id)s)"
STEP = "insert into step values (%(job_id)s)"
# As the kitchen does it: the claim, and the completion, in the statement of the effect itself.
BEGIN = "select begin_with(%(job_id)s)"
FINISH = "select finish_with(%(job_id)s)"
# A session of psql.
LOCK = "select from message where id = any(%(ids)s) for update"
PERIOD_S = 2.0


def _effect(tx: Transaction, p: dict[str, Any]) -> list[Any]:
    tx.note_effect(p["job_id"], last=True)
    return [(True,)]


def _step(tx: Transaction, p: dict[str, Any]) -> list[Any]:
    tx.note_effect(p["job_id"], last=False)
    return [(True,)]


def _begin(tx: Transaction, p: dict[str, Any]) -> list[Any]:
    row = claim(tx, p) if p["job_token"] is None else fence(tx, p)
    if p["job_token"] is not None or row[0]["verdict"] == "claimed":
        _step(tx, p)
    return row


def _finish(tx: Transaction, p: dict[str, Any]) -> list[Any]:
    row = complete(tx, p)
    _effect(tx, p)
    return row


def _lock(tx: Transaction, p: dict[str, Any]) -> list[Any]:
    for id in p["ids"]:
        tx.lock(id)
    return []


RULES_OF_APP: dict[str, Rule] = {
    EFFECT: _effect,
    STEP: _step,
    BEGIN: _begin,
    FINISH: _finish,
    LOCK: _lock,
}


class Hopeless(Exception):
    """Not worth another attempt."""


def make_app(new_id: Callable[[], UUID], pause: Callable[[float], None]) -> App:
    """The tasks, with a policy short enough for many attempts in a few virtual seconds.

    pause: lets time pass without noticing that the worker should stop.
    """
    topology = Topology(
        exchanges=(Exchange(EVENTS, type="topic"),),
        queues=tuple(Queue(name) for name in (*QUEUES, EVENTS)),
    )
    app = App("sample", topology=topology)
    policy = RetryPolicy(
        max_attempts=ATTEMPTS, initial_delay=0.2, max_delay=1.0, no_retry_on=(Hopeless,)
    )

    @app.task("work", queue=QUEUES[0], retry=policy)
    def work(job: Job) -> None:
        """Claimed by the worker; a step, a wait, and an end that may last, and sends more."""
        plan = job.body
        if plan["steps"]:
            with job.transaction() as conn:
                conn.execute(STEP, {"job_id": job.id})
        job.sleep(plan["seconds"])
        _fail(job)
        with job.complete() as conn:
            conn.execute(EFFECT, {"job_id": job.id})
            if plan["hold"]:
                pause(plan["hold"])
            if plan["then"]:
                work.send(conn, plan | {"then": False, "fail": 0, "hold": 0}, message_id=new_id())
                publish(conn, EVENTS, "then", {}, message_id=new_id())

    @app.periodic(PERIOD_S, "tick")
    def tick(_conn: object) -> None:
        """Its run is recorded by the framework."""

    @app.task("quick", queue=QUEUES[1], retry=policy, manual_claim=True)
    def quick(job: Job) -> None:
        """Claimed by its only transaction."""
        with job.complete() as conn:
            conn.execute(EFFECT, {"job_id": job.id})
            _fail(job)

    @app.task("terse", queue=QUEUES[1], retry=policy, manual_claim=True)
    def terse(job: Job) -> None:
        """Single statements that guard themselves, as a cook's are."""
        job.execute_claiming(BEGIN)
        job.sleep(job.body["seconds"])
        _fail(job)
        job.execute_completing(FINISH)

    return app


def _fail(job: Job) -> None:
    if job.body["fail"] < 0:
        raise Hopeless("it will never be")
    if job.attempt <= job.body["fail"]:
        raise ValueError("not this time")
