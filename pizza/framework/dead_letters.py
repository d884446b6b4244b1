"""Dead letters for people: look at them, send them again, throw them away.

They lie in one queue at the broker, each with its reason in the headers. Whoever looks takes all
of them in hand and gives back what it does not settle, so their order stays.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.types.json import Jsonb

from pizza.database.connection import BoundedConnection, available
from pizza.database.queries import Queries
from pizza.framework.broker import Broker
from pizza.framework.epitaph import plain
from pizza.framework.message import Ticket, ticket
from pizza.framework.topology import DEAD_LETTER_QUEUE, DEAD_LETTERS

_SQL = Queries("framework")
_SEND, _PUBLISH_RAW = _SQL.send, _SQL.publish_raw

_EPITAPH = ("reason", "died_in", "died_at", "attempt", "task", "position", "needs")
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead message; task is None for one that named none, body what it held (text, if text)."""

    id: str
    reason: str
    task: str | None
    queue: str
    died_at: str | None
    attempt: int | None
    body: Any

    @classmethod
    def read(cls, found: Ticket) -> DeadLetter:
        """Read a delivery from the dead-letter queue; anybody may have written it."""
        headers = found.headers
        task, died_at, attempt = (headers.get(name) for name in ("task", "died_at", "attempt"))
        return cls(
            id=found.message_id or "",
            reason=found.undecodable or str(headers.get("reason", "unknown")),
            task=task if isinstance(task, str) else None,
            queue=str(headers.get("died_in", "unknown")),
            died_at=died_at if isinstance(died_at, str) else None,
            attempt=attempt if isinstance(attempt, int) else None,
            body=_readable(found.body),
        )


def letters(broker: Broker, limit: int = _MOST) -> list[DeadLetter]:
    """The dead letters, oldest first; they stay where they are. Raises BrokerUnavailable."""
    with _in_hand(broker) as found:
        return [DeadLetter.read(each) for each, _ in zip(found, range(limit), strict=False)]


def retry(broker: Broker, conn: BoundedConnection, chosen: Callable[[DeadLetter], bool]) -> int:
    """Send the chosen ones again, as new messages of their task; returns how many.

    A letter leaves the queue after the commit, so a crash in between sends it again under the
    same id, which changes nothing. Raises BrokerUnavailable, DatabaseUnavailable.
    """
    return _settle(broker, chosen, lambda found: _send_again(conn, found))


def drop(broker: Broker, chosen: Callable[[DeadLetter], bool]) -> int:
    """Throw the chosen ones away; returns how many. Raises BrokerUnavailable."""
    return _settle(broker, chosen, lambda found: None)


def _settle(
    broker: Broker, chosen: Callable[[DeadLetter], bool], settle: Callable[[Ticket], None]
) -> int:
    count = 0
    with _in_hand(broker) as found:
        for each in found:
            if chosen(DeadLetter.read(each)):
                settle(each)
                broker.ack(each.delivery_tag)
                count += 1
        broker.wait(0)
    return count


@contextmanager
def _in_hand(broker: Broker) -> Generator[Iterator[Ticket], None, None]:
    """Fetch one after the other; what is not acked goes back to its place with the connection.

    Only what lies there at the first fetch: a job that is sent again and dies at once comes in
    behind it, and would be met, and sent again, without end.
    """
    broker.declare(DEAD_LETTERS)

    def fetch() -> Iterator[Ticket]:
        message = broker.get(DEAD_LETTER_QUEUE)
        behind = message.delivery_info["message_count"] if message is not None else 0
        while message is not None:
            yield ticket(DEAD_LETTER_QUEUE, message)
            message = broker.get(DEAD_LETTER_QUEUE) if behind > 0 else None
            behind -= 1

    try:
        yield fetch()
    finally:
        broker.close()


def _send_again(conn: BoundedConnection, found: Ticket) -> None:
    letter = DeadLetter.read(found)
    headers = plain({k: v for k, v in found.headers.items() if k not in _EPITAPH})
    needs = found.headers.get("needs")
    given = Jsonb(headers) if headers else None
    with available():
        if letter.task is None:
            conn.execute(
                _PUBLISH_RAW,
                {
                    "exchange": "",
                    "routing_key": letter.queue,
                    "body": found.body,
                    "headers": given,
                },
            )
            return
        try:
            conn.execute(
                _SEND,
                {
                    "id": UUID(letter.id) if letter.id else uuid4(),
                    "task": letter.task,
                    "queue": letter.queue,
                    "exchange": "",
                    "routing_key": letter.queue,
                    "priority": found.priority,
                    "body": found.body,
                    "headers": given,
                    "countdown": None,
                    "needs": [str(each) for each in needs] if isinstance(needs, list) else None,
                },
            )
        except psycopg.errors.UniqueViolation:
            return  # sent again before, by somebody who could not say so


def _readable(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        pass
    try:
        return body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}
