"""A sample subscriber: a handler that ends as its event asks for, and a process that runs it.

Effects are rows of the table `heard`; every beginning is noted in a file (the journal), which
no server's absence can keep from it.

    python sample_subscriber.py subscriber --db URL --broker URL --prefix P --name s1 --journal PATH
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import psycopg
from kombu import Queue

from pizza.database.connection import BoundedConnection, connect
from pizza.taskqueue import RetryPolicy
from pizza.taskqueue.errors import DuplicateEvent, PoisonMessage
from pizza.taskqueue.outbox.relay import Relay
from pizza.taskqueue.service import run_until_stopped
from pizza.taskqueue.subscriber import session as handler_session
from pizza.taskqueue.subscriber.event import Event, OnCommit
from pizza.taskqueue.subscriber.subscriber import Subscriber, SubscriberOptions

SCHEMA = """
create table heard (
    position serial primary key, event_id text unique not null, n integer, attempt integer,
    redelivered boolean
)
"""
ATTEMPTS = 3
_HEAR = """
insert into heard (event_id, n, attempt, redelivered) values (%s, %s, %s, %s)
on conflict (event_id) do nothing
"""


class Flaky(Exception):
    """The policy tries this again."""


class EventRecorder:
    """Handles events by what their `mode` says."""

    def __init__(self, journal: str) -> None:
        self._journal = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._known: set[str | None] = set()

    def note(self, what: str, event: Event) -> None:
        line = {
            "event": what, "id": event.id, "n": event.body.get("n"), "attempt": event.attempt,
            "redelivered": event.redelivered, "at": time.time(), "key": event.routing_key,
            "reply_to": event.reply_to, "correlation_id": event.correlation_id, "pid": os.getpid(),
        }  # fmt: skip
        os.write(self._journal, json.dumps(line).encode() + b"\n")

    def hear(self, event: Event, conn: BoundedConnection | None) -> OnCommit:
        self.note("begin", event)
        if conn is not None:
            values = (event.id, event.body.get("n"), event.attempt, event.redelivered)
            if not conn.execute(_HEAR, values).rowcount:
                raise DuplicateEvent("heard before")
            self._statement(event, conn)
        elif event.id in self._known:
            raise DuplicateEvent("heard before")
        getattr(self, f"_{event.body['mode']}")(event)
        self._known.add(event.id)
        return lambda: self.note("heard", event)

    def _statement(self, event: Event, conn: BoundedConnection) -> None:
        """Run what the event says; then go on even after an error, if it says so."""
        if (sql := event.body.get("sql")) is None:
            return
        with suppress(*([psycopg.Error] if event.body.get("swallows") else [])):
            conn.execute(sql)
        conn.execute("select 1")

    def _ok(self, event: Event) -> None:
        pass

    def _fail(self, event: Event) -> None:
        if event.attempt <= event.body.get("times", 1_000_000):
            raise Flaky(f"attempt {event.attempt} fails as it should")

    def _poison(self, event: Event) -> None:
        raise PoisonMessage("not to my taste")

    def _block(self, event: Event) -> None:
        """Deaf for so long, or until a gate is open."""
        while (gate := event.body.get("until")) and not os.path.exists(gate):
            time.sleep(0.05)
        time.sleep(event.body.get("seconds", 0))

    def _oserror(self, event: Event) -> None:
        Path("/nowhere/at/all").read_bytes()

    def _elsewhere(self, event: Event) -> None:
        """Connects to another database."""
        connect(event.body["url"], name="elsewhere")

    def _exit(self, event: Event) -> None:
        """Takes the process down, once."""
        if not os.path.exists(event.body["once"]):
            open(event.body["once"], "w").close()
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    from sample_app import JsonLines, make  # run as a program, its neighbour is no package's

    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["subscriber"])
    for name in ("broker", "prefix", "name", "journal"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--db")
    parser.add_argument("--heartbeat", type=int, default=10)
    parser.add_argument("--prefetch", type=int, default=20)
    parser.add_argument("--attempts", type=int, default=ATTEMPTS)
    parser.add_argument("--takeover-timeout", type=float, default=2)
    parser.add_argument("--migration", type=float, default=60)
    parser.add_argument("--time-limit", type=float, default=60)
    parser.add_argument("--lease", type=float, default=15)
    parser.add_argument("--relay", action="store_true")
    parser.add_argument("--own", action="store_true")
    parser.add_argument("--kept", action="store_true")
    parser.add_argument("--exclusive", action="store_true")
    options = parser.parse_args()
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    handler_session.MIGRATION_S = options.migration
    app = make(options.prefix).app
    exchange = app.topology.exchanges[0]
    if options.own:
        queue = Queue(f"{options.prefix}.own", exchange, "event.#", exclusive=True, durable=False)
    elif options.kept:
        queue = Queue(f"{options.prefix}.kept", exchange, routing_key="event.#", durable=True)
    else:
        queue = Queue(f"{options.prefix}.events", exchange, routing_key="event.#", durable=True)
    subscriber = Subscriber(
        app,
        options.broker,
        SubscriberOptions(
            name=options.name,
            queue=queue,
            prefetch=options.prefetch,
            heartbeat=options.heartbeat,
            exclusive=options.exclusive,
            takeover_timeout=options.takeover_timeout,
            time_limit=options.time_limit,
            lease=options.lease,
            retry=RetryPolicy(
                max_attempts=options.attempts,
                initial_delay=0.2,
                multiplier=2,
                max_delay=1,
                jitter=0.5,
            ),
        ),
        EventRecorder(options.journal).hear,
        options.db,
    )
    relay = [Relay(app, options.db, options.broker, name=options.name)] if options.relay else []
    run_until_stopped(subscriber, *relay)


if __name__ == "__main__":
    main()
