"""What one test of the task framework uses: a database, a prefix at the broker, processes."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import amqp
import kombu
import psycopg
from amqp.exceptions import AMQPError

from devservices import GuardedProcess
from devservices.proc import cpu_seconds

from ..waiting import wait_until
from .sample_app import SCHEMA, make

SAMPLE_APP = Path(__file__).with_name("sample_app.py")
SAMPLE_SUBSCRIBER = Path(__file__).with_name("sample_subscriber.py")
DEAD_LETTERS = "dead_letter_queue"
# Log actions of failures of the application, which have its stack.
EXPECTED = ("job_retried", "job_dead", "job_failed_late", "event_dead", "periodic_task_failed")


class Gate:
    """Jobs and events wait before it until the test opens it, however long that takes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    @property
    def is_open(self) -> bool:
        return self._path.exists()

    def open(self) -> None:
        """Let all pass from now on, or the next one where the body says `shut`."""
        self._path.touch()


class Process:
    """A process of the sample application: signals, its log lines, its CPU time."""

    def __init__(self, command: Sequence[str], name: str, log: Path) -> None:
        self.name = name
        self._log = log
        with log.open("ab") as output:
            self.guarded = GuardedProcess(command, output=output)

    def log(self, action: str | None = None) -> list[dict[str, Any]]:
        """Its log lines, all or those with an action."""
        lines = [json.loads(line) for line in self._text() if line.startswith("{")]
        return [line for line in lines if action is None or line["action"] == action]

    def _text(self) -> list[str]:
        return self._log.read_text(errors="replace").splitlines()

    def tail(self, count: int) -> list[str]:
        """Its last lines."""
        return self._text()[-count:]

    def tracebacks(self) -> list[str]:
        """What should never be in a log: an exception that nobody expected."""
        found = [line for line in self._text() if "Traceback" in line]
        return [line for line in found if not any(f'"{each}"' in line for each in EXPECTED)]

    def await_log(self, action: str, within: float = 10, count: int = 1) -> dict[str, Any]:
        """The `count`th line with an action, once it is there."""
        found = lambda: self.log(action)[count - 1 : count]  # noqa: E731
        return wait_until(found, within, f"{self.name} logs {action}")[0]

    @property
    def running(self) -> bool:
        return self.guarded.running

    def signal(self, number: signal.Signals) -> None:
        self.guarded.send(number)

    def deliver_signal(self, number: signal.Signals) -> None:
        """Send a signal, and wait until it has been delivered."""
        self.signal(number)
        wait_until(lambda: not self._pending(number), 5, f"{self.name} hears {number.name}")
        time.sleep(0.1)  # its main thread has it, and acts on it

    def _pending(self, number: signal.Signals) -> bool:
        status = Path(f"/proc/{self.guarded.pid}/status")
        with suppress(OSError):  # it has ended
            lines = dict(line.split(":\t", 1) for line in status.read_text().splitlines())
            return bool(int(lines["ShdPnd"], 16) >> (number - 1) & 1)
        return False

    def ends_interrupted(self) -> None:
        """Ctrl-C until it has ended: it may not have heard the last one before the next."""

        def interrupted() -> bool:
            self.signal(signal.SIGINT)
            return not self.running

        wait_until(interrupted, 5, f"{self.name} ends")
        assert self.guarded.wait() == 128 + signal.SIGINT

    def kill9(self) -> None:
        self.guarded.kill()

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def ends(self, within: float) -> int:
        """Its exit status, once it has ended by itself."""
        wait_until(lambda: not self.running, within, f"{self.name} ends")
        return self.guarded.wait()

    def cpu_seconds(self) -> float:
        """CPU time used so far."""
        return cpu_seconds(self.guarded.pid)


class Harness:
    """Starts the sample application's processes, sends messages and reads the results."""

    def __init__(self, db_url: str, broker_url: str, folder: Path) -> None:
        self.db_url, self.broker_url = db_url, broker_url
        self.prefix = f"t{uuid4().hex[:10]}"
        self.sample = make(self.prefix)
        self.processes: list[Process] = []
        self._gates = 0
        self._folder = folder
        self._journal = folder / "journal"
        self._conn: psycopg.Connection[Any] | None = None
        self.conn.execute(SCHEMA)
        with self.broker() as channel:
            self.declare(channel)

    # -- processes ------------------------------------------------------------------

    def worker(
        self, name: str, queues: str = "red", *, ready: bool = True, **options: Any
    ) -> Process:
        """Start a worker; `ready` waits until it consumes."""
        process = self._start("worker", name, queues=queues, **options)
        if ready:
            process.await_log("worker_connected", 20)
        return process

    def workers(self, count: int, queues: str = "red", **options: Any) -> list[Process]:
        """Start several at once."""
        found = [self.worker(f"w{n}", queues, ready=False, **options) for n in range(count)]
        for each in found:
            each.await_log("worker_connected", 20)
        return found

    def relay(self, name: str = "relay", *, ready: bool = True, **options: Any) -> Process:
        """Start a process that is a relay only; `ready` waits until it leads."""
        process = self._start("relay", name, **options)
        if ready:
            process.await_log("leader_elected", 20)
        return process

    def subscriber(
        self, name: str = "s", *, ready: bool = True, db: bool | str = True, **options: Any
    ) -> Process:
        """Start a subscriber; `ready` waits until it consumes. db: whether, or which, it has."""
        if db is not True:
            options["db"] = db or None
        process = self._start("subscriber", name, script=SAMPLE_SUBSCRIBER, **options)
        if ready:
            process.await_log("subscribed", 20)
        return process

    def _start(self, role: str, name: str, *, script: Path = SAMPLE_APP, **options: Any) -> Process:
        values = {
            "db": self.db_url,
            "broker": self.broker_url,
            "prefix": self.prefix,
            "name": name,
            "journal": str(self._journal),
            **options,
        }
        command = [sys.executable, str(script), role]
        for key, value in values.items():
            flag = f"--{key.replace('_', '-')}"
            if value is True:
                command.append(flag)
            elif value is not None and value is not False:
                command.append(f"{flag}={value}")
        log = self._folder / f"{len(self.processes)}-{name}.log"
        self.processes.append(Process(command, name, log))
        return self.processes[-1]

    def show_logs(self) -> None:
        """Print the last lines of each process."""
        for process in self.processes:
            print(f"--- {process.name}", *process.tail(25), sep="\n")

    def close(self) -> None:
        """End all processes; nothing of the test stays at the broker."""
        for process in self.processes:
            with suppress(Exception):
                process.thaw()
                process.kill9()
        if self._conn is not None:
            self._conn.close()
        with suppress(AMQPError, OSError), self.broker() as channel:
            for queue in (
                *self.sample.app.topology.queues,
                *map(kombu.Queue, (f"{self.prefix}.kept", DEAD_LETTERS)),
            ):
                channel.queue_delete(queue.name)
            channel.exchange_delete(self.prefix)

    # -- the database ---------------------------------------------------------------

    @property
    def conn(self) -> psycopg.Connection[Any]:
        """An autocommit connection, a new one after the server has been away."""
        if self._conn is None or self._conn.closed:
            self._conn = psycopg.connect(self.db_url, autocommit=True, connect_timeout=5)
        return self._conn

    def reconnect(self) -> None:
        """Forget the connection, for tests that know that the server was away."""
        if self._conn is not None:
            self._conn.close()

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a query; once more when the connection turns out to be lost."""
        try:
            return self.conn.execute(query, parameters).fetchall()
        except psycopg.OperationalError:
            return self.conn.execute(query, parameters).fetchall()

    def gate(self) -> Gate:
        """A gate that is shut: for the `until` of a body."""
        self._gates += 1
        return Gate(self._folder / f"gate{self._gates}")

    def send(self, mode: str = "ok", colour: str = "red", task: str = "play", **more: Any) -> UUID:
        """Send one message in a transaction of its own; `more`: its body, the options of send."""
        if "until" in more:
            more["until"] = str(more["until"])
        options = {
            key: more.pop(key)
            for key in ("priority", "countdown", "message_id", "required_tags")
            if key in more
        }
        return getattr(self.sample, task).send(
            self.conn,
            {"mode": mode, **more},
            queue=self.sample.queue(colour),
            routing_key=colour,
            **options,
        )

    def send_many(self, count: int, mode: str = "ok", **more: Any) -> list[UUID]:
        """Send several in one transaction, labelled from 0."""
        with self.conn.transaction():
            return [self.send(mode, label=str(n), **more) for n in range(count)]

    def cut_session(self, worker: str) -> None:
        """End the connection by which a worker shows that it lives."""
        name = f"sample {worker} session%"
        cut = self.rows(
            """select pg_terminate_backend(pid) from pg_stat_activity
               where application_name like %s and datname = current_database()""",
            name,
        )
        assert cut == [(True,)]

    def states(self) -> Counter[str]:
        """How many messages are in which state."""
        return Counter(dict(self.rows("select state, count(*) from message group by state")))

    def await_states(self, within: float = 10, **wanted: int) -> None:
        """Wait until the messages are in these states and no others."""
        expected = {state: count for state, count in wanted.items() if count}
        wait_until(lambda: dict(self.states()) == expected, within, f"messages are {expected}")

    def await_all_done(self, within: float = 20) -> None:
        """Wait until no message is left: each done, or dead and delivered."""
        try:
            wait_until(lambda: not self.states(), within, "no message is left")
        except AssertionError as error:
            left = self.rows(
                "select state, count(*), min(attempt), max(attempt) from message group by 1"
            )
            raise AssertionError(f"{error}: {left}") from None

    def effects(self) -> Counter[UUID]:
        """How often each message has had its effect."""
        return Counter(dict(self.rows("select message_id, count(*) from effect group by 1")))

    def shares(self) -> Counter[str]:
        """How many effects each worker has made."""
        return Counter(dict(self.rows("select worker, count(*) from effect group by 1")))

    def assert_each_once(self, ids: Sequence[UUID]) -> None:
        """Each of these messages, and nothing else, has had its effect exactly once."""
        effects = self.effects()
        lost = [str(id) for id in ids if id not in effects]
        doubled = {str(id): count for id, count in effects.items() if count > 1}
        assert not lost, f"{len(lost)} lost: {lost[:3]}"
        assert not doubled, f"doubled: {doubled}"
        assert set(effects) == set(ids)

    # -- the journal ----------------------------------------------------------------

    def runs(self, event: str = "begin", id: UUID | None = None) -> list[dict[str, Any]]:
        """What runs have noted, in the order of its happening."""
        if not self._journal.exists():
            return []
        lines = map(json.loads, self._journal.read_text().splitlines())
        return [x for x in lines if x["event"] == event and (id is None or x["id"] == str(id))]

    def await_run(
        self, id: UUID, within: float = 10, count: int = 1, event: str = "begin"
    ) -> dict[str, Any]:
        """The `count`th beginning (or end) of a message's runs, once it is there."""
        found = lambda: self.runs(event, id)[count - 1 : count]  # noqa: E731
        return wait_until(found, within, f"run {count} of {id}: {event}")[0]

    # -- the broker -----------------------------------------------------------------

    def broker(self) -> kombu.Connection:
        """A connection of the test's own; `with` gives a raw channel."""
        return _Channel(self.broker_url)

    def declare(self, channel: Any) -> None:
        """Declare the topology beforehand, so that a test can look at queues."""
        for entity in (*self.sample.app.topology.exchanges, *self.sample.app.topology.queues):
            entity(channel).declare()

    def drain(self, queue: str | None = None) -> list[amqp.Message]:
        """All messages that are ready in a queue (default: the events), acknowledged."""
        found = []
        with self.broker() as channel:
            while (
                message := channel.basic_get(queue or self.sample.events, no_ack=True)
            ) is not None:
                found.append(message)
        return found

    def ready(self, queue: str) -> int:
        """How many messages are ready in a queue."""
        with self.broker() as channel:
            return channel.queue_declare(queue, passive=True).message_count

    def await_dead(self, count: int = 1, within: float = 15) -> list[amqp.Message]:
        """The dead letters, once there are so many."""
        found: list[amqp.Message] = []

        def enough() -> bool:
            found.extend(self.drain(DEAD_LETTERS))
            return len(found) >= count

        wait_until(enough, within, f"{count} dead letters")
        return found


class _Channel:
    """A raw channel on a connection of its own, for a `with` block."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> Any:
        self._connection = kombu.Connection(
            self._url,
            connect_timeout=5,
            transport_options={"read_timeout": 10, "write_timeout": 10},
        ).transport.establish_connection()
        return self._connection.channel()

    def __exit__(self, *_: object) -> None:
        with suppress(AMQPError, OSError):
            self._connection.close()
