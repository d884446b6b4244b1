"""A sample application: a task that ends as its message asks for, and a process that runs it.

It knows nothing of any trade. Effects are rows in the table `effect`; every run notes its
beginning and its end in a file (the journal), which no server's absence can keep from it.

    python sample_app.py worker --db URL --broker URL --prefix P --name w1 --queues red,blue
    python sample_app.py relay  --db URL --broker URL --prefix P --name r1
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kombu import Exchange, Queue

from pizza.taskqueue import App, Job, RetryPolicy, Task
from pizza.taskqueue.dead_letters.callback import DeadMessage
from pizza.taskqueue.errors import PoisonMessage, RegistrationRefused
from pizza.taskqueue.middleware import timing
from pizza.taskqueue.outbox import relay as relay_module
from pizza.taskqueue.outbox.relay import Relay
from pizza.taskqueue.task import publish
from pizza.taskqueue.topology import Topology
from pizza.taskqueue.worker.context import WorkerOptions
from pizza.taskqueue.worker.pool import WorkerPool
from pizza.taskqueue.worker.worker import Worker

COLOURS = ("red", "green", "blue")
ATTEMPTS = 3
TIME_LIMIT_S = 1.0
FOR_EVER = 1_000_000

SCHEMA = """
create table effect (
    id serial primary key, message_id uuid not null, label text, worker text, attempt integer,
    at timestamptz not null default clock_timestamp()
);
create table attendance (id serial primary key, worker text, event text);
create table turn (id serial primary key);
"""
_EFFECT = "insert into effect (message_id, label, worker, attempt) values (%s, %s, %s, %s)"


class Hopeless(Exception):
    """The policy never tries this again."""


class Flaky(Exception):
    """The policy tries this again."""


@dataclass(frozen=True)
class SampleApp:
    """The app of one test, and the names of what it uses at the broker."""

    app: App
    play: Task
    strict: Task
    once: Task
    limited: Task
    exchange: str

    def queue(self, colour: str) -> str:
        return f"{self.exchange}.{colour}"

    @property
    def events(self) -> str:
        return self.queue("events")


class Journal:
    """Lines appended to one file by all processes, each whole."""

    def __init__(self, path: str | None) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT) if path else None

    def note(self, event: str, job: Job, **more: Any) -> None:
        if self._file is not None:
            line = {
                "event": event, "id": str(job.id), "worker": job.worker_name, "at": time.time(),
                "attempt": job.attempt, "label": job.body.get("label"), "queue": job.queue, **more,
            }  # fmt: skip
            os.write(self._file, json.dumps(line).encode() + b"\n")


def effect(conn: Any, job: Job, suffix: str = "") -> None:
    label = (job.body.get("label") or "") + suffix
    conn.execute(_EFFECT, (job.id, label, job.worker_name, job.attempt))


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wait(job: Job, nap: Callable[[float], None]) -> None:
    """As long as the body says, or until the gate is open that it names."""
    if gate := job.body.get("until"):
        while not os.path.exists(gate):
            nap(0.05)
        if job.body.get("shut"):
            os.unlink(gate)
    nap(job.body.get("seconds", 0))


def _ok(job: Job) -> None:
    with job.complete() as conn:
        effect(conn, job)


def _sleep(job: Job) -> None:
    wait(job, job.sleep)
    _ok(job)


def _block(job: Job) -> None:
    """Deaf to everything, the first `times` times."""
    if job.attempt <= job.body.get("times", FOR_EVER):
        wait(job, time.sleep)
    _ok(job)


def _block_two(job: Job) -> None:
    """Deaf, and then two steps."""
    wait(job, time.sleep)
    _two(job)


def _late_failure(job: Job) -> None:
    wait(job, time.sleep)
    raise Flaky("failed after a long time")


def _fail(job: Job) -> None:
    """Fails the first `times` times."""
    wait(job, job.sleep)
    if job.attempt <= job.body.get("times", FOR_EVER):
        raise Flaky(f"attempt {job.attempt} fails as it should")
    _ok(job)


def _hopeless(job: Job) -> None:
    raise Hopeless("no use")


def _exit(job: Job) -> None:
    """Takes its worker down, the first `times` times."""
    if job.attempt <= job.body.get("times", FOR_EVER):
        die()
    _ok(job)


def _exit_before_ack(job: Job) -> None:
    """Commits, and takes its worker down before anybody can ack."""
    _ok(job)
    if not os.path.exists(job.body["once"]):
        open(job.body["once"], "w").close()
        die()


def _two(job: Job) -> None:
    with job.transaction() as conn:
        effect(conn, job, " begun")
    wait(job, job.sleep)
    with job.complete() as conn:
        effect(conn, job, " ended")


def _inside(job: Job) -> None:
    """Stays in the middle of a transaction, deaf."""
    with job.complete() as conn:
        effect(conn, job)
        wait(job, time.sleep)


def _exit_in_transaction(job: Job) -> None:
    with job.transaction():
        die()


def _send_and_fail(job: Job) -> None:
    """Sends an event with its effect, and fails before the commit, the first `times` times."""
    with job.complete() as conn:
        effect(conn, job)
        publish(conn, job.task.exchange, "event.done", {"attempt": job.attempt})
        if job.attempt <= job.body["times"]:
            raise Flaky("so nothing may be left of it")


def _oserror(job: Job) -> None:
    """An error of its own that looks like a lost broker."""
    Path("/nowhere/at/all").read_bytes()


def _after_the_end(job: Job) -> None:
    _ok(job)
    raise Flaky("failed after its completion")


def record_death(conn: Any, dead: DeadMessage) -> None:
    """The on_dead of the task with a time limit."""
    conn.execute(_EFFECT, (dead.message_id, "dead", "", dead.attempt))


def _again(job: Job) -> None:
    """Says itself when it is due again, twice; then it is done."""
    with job.transaction() as conn:
        row = conn.execute("select count(*) from effect where message_id = %s", [job.id]).fetchone()
    if row[0] == 2:
        _ok(job)
        return
    with job.snooze(job.body["wait"]) as conn:
        effect(conn, job)
        if job.body.get("times"):
            raise Flaky("so nothing may be left of it")


def _nothing(job: Job) -> None:
    """Leaves its completion to the framework."""


MODES = {
    "ok": _ok, "sleep": _sleep, "block": _block, "late_failure": _late_failure, "fail": _fail,
    "hopeless": _hopeless, "exit": _exit, "exit_before_ack": _exit_before_ack, "two": _two,
    "inside": _inside, "oserror": _oserror, "after_the_end": _after_the_end, "nothing": _nothing,
    "block_two": _block_two, "again": _again,
    "send_and_fail": _send_and_fail, "exit_in_transaction": _exit_in_transaction,
}  # fmt: skip


def shape(body: Any) -> dict[str, Any]:
    """The decode of the strict task: fails in all the ways that decoders fail."""
    if isinstance(body, list):
        return body[3]
    if body.get("ratio"):
        return {"ratio": 1 / (body["ratio"] - 1)}
    if body["mode"] not in MODES:
        raise PoisonMessage(f"no mode {body['mode']}")
    return body


def make(prefix: str, journal_path: str | None = None, version: int = 1) -> SampleApp:
    """Build the app; all its names at the broker begin with `prefix`.

    version: the schema version of the task `play`, as a newer release may have it.
    """
    exchange = Exchange(prefix, type="topic", durable=True)
    priority = {"x-max-priority": 10}
    coloured = tuple(
        Queue(f"{prefix}.{c}", exchange, routing_key=c, durable=True, queue_arguments=priority)
        for c in COLOURS
    )
    events = Queue(f"{prefix}.events", exchange, routing_key="event.#", durable=True)
    journal = Journal(journal_path)
    app = App("sample", topology=Topology((exchange,), (*coloured, events)), middleware=(timing,))
    retry = RetryPolicy(
        max_attempts=ATTEMPTS,
        initial_delay=0.4,
        multiplier=2,
        max_delay=2,
        jitter=0.5,
        no_retry_on=(Hopeless,),
    )

    def run(job: Job) -> None:
        journal.note("begin", job)
        how = "done"
        try:
            MODES[job.body["mode"]](job)
        except BaseException as error:
            how = type(error).__name__
            raise
        finally:
            journal.note("end", job, how=how)

    red = f"{prefix}.red"
    play = app.task("play", queue=red, exchange=prefix, retry=retry, schema_version=version)(run)
    strict = app.task("strict", queue=red, exchange=prefix, retry=retry, decode=shape)(run)
    once = app.task("once", queue=red, exchange=prefix, retry=retry, manual_claim=True)(run)
    limited = app.task(
        "limited",
        queue=red,
        exchange=prefix,
        retry=retry,
        time_limit=TIME_LIMIT_S,
        on_dead=record_death,
    )(run)
    app.external_queue(
        f"{prefix}.green", app.task("accept", queue=red, retry=retry, decode=shape)(run)
    )
    app.periodic(0.5, "count")(_count)
    return SampleApp(app, play, strict, once, limited, prefix)


def _count(conn: Any) -> None:
    """The chore: notes its turn, and fails in the first."""
    conn.execute("insert into turn default values")
    if os.environ.get("TOY_CHORE_FAILS"):
        raise Flaky("this turn fails")


class Attendance:
    """A registry that keeps a list, and refuses a worker named `unwanted`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def _note(self, conn: Any, event: str) -> None:
        conn.execute("insert into attendance (worker, event) values (%s, %s)", (self._name, event))

    def register(self, conn: Any) -> None:
        if self._name == "unwanted":
            raise RegistrationRefused("unwanted is not wanted here")
        self._note(conn, "enter")

    def heartbeat(self, conn: Any) -> None:
        self._note(conn, "beat")

    def unregister(self, conn: Any) -> None:
        self._note(conn, "leave")


class JsonLines(logging.Formatter):
    """What tests read: level, action, message."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": record.created,
            "level": record.levelname,
            "message": record.getMessage(),
            "action": getattr(record, "action", None),
            "details": getattr(record, "details", None),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def _relay_alone(sample: SampleApp, options: argparse.Namespace) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    relay = Relay(sample.app, options.db, options.broker, name=options.name)
    relay.start()
    stop.wait()
    relay.stop(2)


def main() -> None:
    from failing_modes import MODES as FAILING  # run as a program, its neighbour is no package's

    MODES.update(FAILING)
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["worker", "relay"])
    for name in ("db", "broker", "prefix", "name", "journal"):
        parser.add_argument(f"--{name}", required=name != "journal")
    parser.add_argument("--queues", default="red")
    parser.add_argument("--grace", type=float, default=5)
    parser.add_argument("--lease", type=float, default=15)
    parser.add_argument("--heartbeat", type=int, default=10)
    parser.add_argument("--frozen", type=float, default=15)
    parser.add_argument("--skills")
    parser.add_argument("--schema-version", type=int, default=1)
    parser.add_argument("--pool", type=int, default=0)
    parser.add_argument("--no-relay", action="store_true")
    options = parser.parse_args()
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    relay_module.LEADER_TIMEOUT_S = options.frozen
    sample = make(options.prefix, options.journal, options.schema_version)
    if options.role == "relay":
        _relay_alone(sample, options)
        return
    worker = WorkerOptions(
        name=options.name,
        queues=[sample.queue(colour) for colour in options.queues.split(",")],
        grace=options.grace,
        lease=options.lease,
        heartbeat=options.heartbeat,
        relay=not options.no_relay,
        tags=frozenset(options.skills.split(",")) if options.skills else None,
    )
    if options.pool:
        WorkerPool(sample.app, options.db, options.broker, worker, options.pool).run()
        return
    Worker(sample.app, options.db, options.broker, worker, registry=Attendance(options.name)).run()


if __name__ == "__main__":
    main()
