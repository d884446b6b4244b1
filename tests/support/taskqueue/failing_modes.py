"""More modes of the sample app: transactions that stay open, and statements that fail or last."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg

from pizza.database.connection import connect
from pizza.taskqueue import Job

_EFFECT = "insert into effect (message_id, label, worker, attempt) values (%s, %s, %s, %s)"
_CUT = "select pg_terminate_backend(pg_backend_pid())"


def effect(conn: Any, job: Job) -> None:
    values = (job.id, job.body.get("label") or "", job.worker_name, job.attempt)
    conn.execute(_EFFECT, values)


def _is_among_first(job: Job) -> bool:
    """Whether this is one of the first `times` runs, which a file counts."""
    with open(job.body["count"], "ab") as file:
        file.write(b".")
        return file.tell() <= job.body["times"]


def _hold(job: Job) -> None:
    """Two statements of its last transaction, and between them `seconds`, or until a gate opens."""
    with job.complete() as conn:
        effect(conn, job)
        while (gate := job.body.get("until")) and not os.path.exists(gate):
            time.sleep(0.05)
        time.sleep(job.body.get("seconds", 0))
        conn.execute("select 1")


def _statement(job: Job) -> None:
    """Runs the body's statement in its last transaction."""
    with job.complete() as conn:
        conn.execute(job.body["sql"])
        effect(conn, job)


def _lock_two(job: Job) -> None:
    """Locks row 1, then, once the gate is open, row 2; in its first attempt only."""
    with job.complete() as conn:
        if job.attempt == 1:
            conn.execute("select from pair where id = 1 for update")
            while not os.path.exists(job.body["until"]):
                time.sleep(0.05)
            conn.execute("select from pair where id = 2 for update")
        effect(conn, job)


def _cut(job: Job) -> None:
    """Loses its connection in its last transaction."""
    with job.complete() as conn:
        effect(conn, job)
        if _is_among_first(job):
            conn.execute(_CUT)


_ELSEWHERE: dict[str, Callable[[str], Any]] = {
    "psycopg": lambda url: psycopg.connect(url, connect_timeout=2),
    "ours": lambda url: connect(url, name="elsewhere"),
}


def _elsewhere(job: Job) -> None:
    """Connects to another database, in its last transaction or before it."""
    open_other = _ELSEWHERE[job.body["by"]]
    if not job.body["inside"]:
        open_other(job.body["url"])
    with job.complete() as conn:
        effect(conn, job)
        open_other(job.body["url"])


def _statement_outside(job: Job) -> None:
    """A statement that lasts, in a transaction of its own before the last one."""
    with job.transaction() as conn:
        conn.execute(job.body["sql"])


def _loop(job: Job) -> None:
    """Does not end, and cannot be interrupted, in the first `times` runs."""
    while _is_among_first(job):
        for _ in range(100_000):
            time.sleep(0.05)
    with job.complete() as conn:
        effect(conn, job)


def _swallow(job: Job) -> None:
    """Goes on after an error of its transaction, in the first attempt."""
    with job.complete() as conn:
        if job.attempt == 1:
            with suppress(psycopg.Error):
                conn.execute("select 1 / 0")
        effect(conn, job)


def _again_and_again(job: Job) -> None:
    """Asks `asks` times to be called again; then it does what `then` says."""
    with job.transaction() as conn:
        row = conn.execute("select count(*) from effect where message_id = %s", [job.id]).fetchone()
        assert row is not None
    if row[0] < job.body["asks"]:
        with job.snooze(0.01) as conn:
            effect(conn, job)
    elif job.body.get("then") == "fail":
        raise ValueError("it fails after all")
    else:
        with job.complete() as conn:
            effect(conn, job)


MODES = {
    "hold": _hold, "statement": _statement, "statement_outside": _statement_outside,
    "lock_two": _lock_two, "cut": _cut, "elsewhere": _elsewhere, "loop": _loop,
    "swallow": _swallow, "again_and_again": _again_and_again,
}  # fmt: skip
