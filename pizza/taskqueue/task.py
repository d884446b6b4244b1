"""A task: a function, where its messages go, and how it is tried again."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from pizza.database.queries import Queries
from pizza.taskqueue import trace
from pizza.taskqueue.dead_letters.callback import OnDead
from pizza.taskqueue.errors import ConfigurationError
from pizza.taskqueue.message import CORRELATION_ID, SCHEMA_VERSION, encode
from pizza.taskqueue.retry import RetryPolicy

if TYPE_CHECKING:
    from pizza.taskqueue.job import Job

_SQL = Queries("taskqueue/messages")

MAX_PRIORITY = 255
# RabbitMQ takes a delivery back that nobody has acknowledged for 30 minutes.
TIME_LIMIT_S = 1500.0
_SEND, _SEND_ONCE, _PUBLISH, _CANCEL, _SET_PRIORITY = (
    _SQL.send, _SQL.send_once, _SQL.publish, _SQL.cancel, _SQL.set_priority,
)  # fmt: skip

TaskFunction = Callable[["Job"], Any]
Decoder = Callable[[Any], Any]


def _unknown(_queue: str) -> int | None:
    """The limit of a task that no app has registered."""
    return None


@dataclass(frozen=True, slots=True)
class Task:
    """What `@app.task` makes of a function.

    name: how messages call it.
    queue: where its messages wait, unless `send` says otherwise.
    decode: turns the JSON body into what `job.body` holds; raises PoisonMessage (or
        ValueError, KeyError, TypeError) for a body of the wrong shape.
    manual_claim: the claim is made by the job's first transaction instead of one of its
        own. Saves a commit; only for a task that does nothing before that transaction.
    format: the newest format of messages that the function understands, besides all before it,
        and the one that `send` writes. Raised when a worker of the last release would do harm
        with a message of this one: such a worker leaves it for one that knows better.
    time_limit: seconds that a run may take, waits for the database included; a run that takes
        longer fails, and a job that cannot be interrupted loses its claim. None: no limit.
    on_dead: called with (connection, DeadMessage) in the transaction that makes a message of this
        task a dead letter, also one whose body could not be read. If it raises, that is logged.
    """

    name: str
    function: TaskFunction
    queue: str
    exchange: str = ""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    decode: Decoder | None = None
    manual_claim: bool = False
    schema_version: int = 1
    time_limit: float | None = TIME_LIMIT_S
    max_priority: Callable[[str], int | None] = field(
        default=_unknown, init=False, repr=False, compare=False
    )

    def register(self, max_priority: Callable[[str], int | None]) -> None:
        """Called by the app that the task belongs to; the last one counts.

        max_priority: the highest priority of a queue (None: not known).
        """
        object.__setattr__(self, "max_priority", max_priority)

    on_dead: OnDead | None = None

    def send(
        self,
        conn: psycopg.Connection[Any],
        body: Any,
        *,
        priority: int = 0,
        countdown: float | timedelta | None = None,
        message_id: UUID | None = None,
        queue: str | None = None,
        routing_key: str | None = None,
        headers: Mapping[str, Any] | None = None,
        needs: Sequence[str] | None = None,
    ) -> UUID:
        """Write the message in the caller's transaction; it exists when that commits.

        countdown: seconds until it becomes due; durable, a row that waits.
        queue, routing_key: where it will wait, and the key that leads there through the
        task's exchange (default: the task's queue, and the queue's name).
        needs: the skills that a worker who names its own must have, all of them.
        message_id: chosen by the sender; a second message with the same id is not sent, while the
        first lives and for at least half a day after it has ended.
        Returns the message's id. Raises PoisonMessage when the body is not JSON,
        ConfigurationError for a priority that the queue, or AMQP, does not know, TypeError for a
        connection that is not synchronous.
        """
        _check_connection(conn)
        target = queue or self.queue
        self._check_priority(target, priority)
        identity = message_id or uuid4()
        if self.schema_version > 1:
            headers = {**(headers or {}), SCHEMA_VERSION: self.schema_version}
        conn.execute(
            _SEND if message_id is None else _SEND_ONCE,
            {
                "id": identity,
                "task": self.name,
                "queue": target,
                "exchange": self.exchange,
                "routing_key": routing_key if routing_key is not None else target,
                "priority": priority,
                "body": encode(body),
                "headers": _headers(headers),
                "countdown": _interval(countdown),
                "needs": list(needs) if needs is not None else None,
            },
        )
        return identity

    def _check_priority(self, queue: str, priority: int) -> None:
        if not 0 <= priority <= MAX_PRIORITY:
            raise ConfigurationError(f"a priority is from 0 to {MAX_PRIORITY}, not {priority}")
        limit = self.max_priority(queue)
        if limit is not None and priority > limit:
            raise ConfigurationError(
                f"queue {queue} has priorities from 0 to {limit} (x-max-priority), not {priority}"
            )


def publish(
    conn: psycopg.Connection[Any],
    exchange: str,
    routing_key: str,
    body: Any,
    *,
    headers: Mapping[str, Any] | None = None,
    message_id: UUID | None = None,
    correlation_id: str | None = None,
) -> UUID:
    """Write an event in the caller's transaction; subscribers get it once that commits.

    An answer to a request goes to exchange "" with the request's reply_to as its key, and
    with the request's correlation_id; it is dropped when that queue is gone. Raises PoisonMessage
    when the body is not JSON, TypeError for a connection that is not synchronous.
    """
    _check_connection(conn)
    identity = message_id or uuid4()
    headers = dict(headers or {})
    if correlation_id is not None:
        headers[CORRELATION_ID] = correlation_id
    conn.execute(
        _PUBLISH,
        {
            "id": identity,
            "exchange": exchange,
            "routing_key": routing_key,
            "body": encode(body),
            "headers": _headers(headers),
            "priority": 0,
        },
    )
    return identity


def _headers(given: Mapping[str, Any] | None) -> Jsonb | None:
    """With the trace that the sender works for, unless they name one."""
    headers = dict(given or {})
    if (parent := trace.current()) is not None:
        headers.setdefault(trace.HEADER, parent)
    return Jsonb(headers) if headers else None


def withdraw(conn: psycopg.Connection[Any], message_id: UUID) -> bool:
    """Take a message back, in the caller's transaction.

    One that waits will not be begun. Of one that was begun nothing more can have an effect, and
    its worker is told at once: the job sees LeaseLost.
    False when there is none: its job has ended, or never was. Raises TypeError for a connection
    that is not synchronous.
    """
    return _truth(conn, _CANCEL, {"id": message_id})


def reprioritise(conn: psycopg.Connection[Any], message_id: UUID, priority: int) -> bool:
    """Move a waiting message in its queue, in the caller's transaction; its age stays.

    False when it does not wait any more, or has that priority. Raises TypeError for a connection
    that is not synchronous.
    """
    return _truth(conn, _SET_PRIORITY, {"id": message_id, "priority": priority})


def _truth(conn: psycopg.Connection[Any], query: str, parameters: Mapping[str, Any]) -> bool:
    """Whether a statement answers with true, whatever the connection makes of its rows."""
    _check_connection(conn)
    with conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(query, parameters).fetchone()
    assert row is not None
    return bool(row[0])


def _check_connection(conn: Any) -> None:
    """Raise TypeError for what would send nothing: an AsyncConnection, or no connection at all."""
    execute = getattr(conn, "execute", None)
    if execute is None or inspect.iscoroutinefunction(execute):
        raise TypeError(
            "the connection has to be a psycopg.Connection, whose transaction the message becomes "
            f"part of, not {type(conn).__module__}.{type(conn).__qualname__}"
        )


def _interval(countdown: float | timedelta | None) -> timedelta | None:
    if countdown is None or isinstance(countdown, timedelta):
        return countdown
    return timedelta(seconds=countdown)
