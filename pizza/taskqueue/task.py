"""Tasks: a function, the queue of its messages and the retry policy; sends, cancels, publishes."""

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
from pizza.taskqueue.deprecated import renamed, renamed_arguments
from pizza.taskqueue.errors import ConfigurationError
from pizza.taskqueue.message import CORRELATION_ID, SCHEMA_VERSION, encode
from pizza.taskqueue.retry import RetryPolicy

if TYPE_CHECKING:
    from pizza.taskqueue.job import Job

_SQL = Queries("taskqueue/messages")

MAX_PRIORITY = 255
# RabbitMQ closes the channel of a delivery that is unacknowledged for 30 minutes.
TIME_LIMIT_S = 1500.0

TaskFunction = Callable[["Job"], Any]
Decoder = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Task:
    """A function registered by `@app.task`.

    name: identifies the task in messages.
    queue: the queue of its messages, unless `send` names another.
    decode: gets the JSON body and returns `job.body`; raises PoisonMessage (or ValueError,
        KeyError, TypeError) if the body has the wrong shape.
    manual_claim: the job's first transaction claims the message, not a separate one. Saves a
        commit; only for a task that does nothing before that transaction.
    schema_version: the newest version of message bodies that the function understands; `send`
        writes it. Increment it when an older worker must not process new messages; older workers
        defer them.
    time_limit: seconds that a run may take, including waits for the database. A longer run fails;
        a job that cannot be interrupted loses its claim. None: no limit.
    on_dead: called with (connection, DeadMessage) in the transaction that dead-letters a message
        of this task, including one whose body could not be read. What it raises is logged.
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
    on_dead: OnDead | None = None
    max_priority: Callable[[str], int | None] = field(
        default=lambda _queue: None, init=False, repr=False, compare=False
    )

    def register(self, max_priority: Callable[[str], int | None]) -> None:
        """Called by each app that the task is registered with; the last app applies.

        max_priority: returns the highest priority of a queue, None if unknown.
        """
        object.__setattr__(self, "max_priority", max_priority)

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
        required_tags: Sequence[str] | None = None,
    ) -> UUID:
        """Insert a message in the caller's transaction. Returns its id.

        countdown: seconds until it is due; it waits as a row.
        queue, routing_key: its queue, and the key that routes to it in the task's exchange
            (default: the task's queue, and the name of the queue).
        required_tags: the tags that a worker with tags must have.
        message_id: chosen by the sender. A second message with the same id is not sent while the
            first exists, and for at least 12 hours after it has ended.
        Raises PoisonMessage if JSON cannot represent the body, ConfigurationError for a priority
        beyond that of the queue or AMQP, TypeError for an asynchronous connection.
        """
        _check_connection(conn)
        target = queue or self.queue
        self._check_priority(target, priority)
        identity = message_id or uuid4()
        if self.schema_version > 1:
            headers = {**(headers or {}), SCHEMA_VERSION: self.schema_version}
        conn.execute(
            _SQL.send if message_id is None else _SQL.send_once,
            {
                "id": identity,
                "task": self.name,
                "queue": target,
                "exchange": self.exchange,
                "routing_key": routing_key if routing_key is not None else target,
                "priority": priority,
                "body": encode(body),
                "headers": traced_headers(headers),
                "countdown": _interval(countdown),
                "needs": list(required_tags) if required_tags is not None else None,
            },
        )
        return identity

    send = renamed_arguments(send, needs="required_tags")

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
    """Insert an event in the caller's transaction; it is published after the commit.

    To reply to a request, publish to exchange "" with the request's reply_to as routing key and
    with its correlation_id; the reply is dropped if that queue is gone. Returns the event's id.
    Raises PoisonMessage if JSON cannot represent the body, TypeError for an asynchronous
    connection.
    """
    _check_connection(conn)
    identity = message_id or uuid4()
    headers = dict(headers or {})
    if correlation_id is not None:
        headers[CORRELATION_ID] = correlation_id
    conn.execute(
        _SQL.publish,
        {
            "id": identity,
            "exchange": exchange,
            "routing_key": routing_key,
            "body": encode(body),
            "headers": traced_headers(headers),
            "priority": 0,
        },
    )
    return identity


def traced_headers(given: Mapping[str, Any] | None) -> Jsonb | None:
    """The headers of a row, with the sender's trace unless they have one."""
    headers = dict(given or {})
    if (parent := trace.current()) is not None:
        headers.setdefault(trace.HEADER, parent)
    return Jsonb(headers) if headers else None


def cancel(conn: psycopg.Connection[Any], message_id: UUID) -> bool:
    """Cancel a message in the caller's transaction.

    A waiting message will not start. A running job has no further effect; its worker is notified
    at once, and the job gets LeaseLost. Returns False if there is no such message: its job has
    ended, or it was never sent. Raises TypeError for an asynchronous connection.
    """
    return _returns_true(conn, _SQL.cancel, {"id": message_id})


def set_priority(conn: psycopg.Connection[Any], message_id: UUID, priority: int) -> bool:
    """Change the priority of a waiting message in the caller's transaction; it keeps its age.

    Returns False if it does not wait, or has that priority. Raises TypeError for an asynchronous
    connection.
    """
    return _returns_true(conn, _SQL.set_priority, {"id": message_id, "priority": priority})


withdraw = renamed("withdraw", cancel)
reprioritise = renamed("reprioritise", set_priority)


def _returns_true(conn: psycopg.Connection[Any], query: str, parameters: Mapping[str, Any]) -> bool:
    """Whether a statement returns true, with any row factory of the connection."""
    _check_connection(conn)
    with conn.cursor(row_factory=tuple_row) as cursor:
        return cursor.execute(query, parameters).fetchone() == (True,)


def _check_connection(conn: Any) -> None:
    """Raise TypeError unless it is a synchronous connection: another one would send nothing."""
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
