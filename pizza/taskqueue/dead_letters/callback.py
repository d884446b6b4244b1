"""The on_dead callback of a task, which may for example reply to the sender of a dead message."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pizza.database.connection import BoundedConnection, is_unavailable
from pizza.taskqueue.logs import log_action
from pizza.taskqueue.message import Delivery

if TYPE_CHECKING:
    from pizza.taskqueue.task import Task

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DeadMessage:
    """A message that no worker will run again.

    message_id: of the delivery. body: unchanged, perhaps not JSON. error: of the last attempt, or
    PoisonMessage for a message that could not be decoded. attempt: the last one, 0 for a message
    that never started. reply_to, correlation_id: as in Job.
    """

    message_id: str | None
    queue: str
    body: bytes
    headers: dict[str, Any]
    error: Exception
    attempt: int
    reply_to: str | None
    correlation_id: str | None

    @classmethod
    def from_delivery(cls, delivery: Delivery, error: Exception, attempt: int = 0) -> DeadMessage:
        """The dead message of a worker's current delivery."""
        return cls(
            message_id=delivery.message_id,
            queue=delivery.queue,
            body=delivery.body,
            headers=delivery.headers,
            error=error,
            attempt=attempt,
            reply_to=delivery.reply_to,
            correlation_id=delivery.correlation_id,
        )


OnDead = Callable[[BoundedConnection, DeadMessage], object]
"""Called in the transaction that makes the message a dead letter."""


def call_on_dead(conn: BoundedConnection, task: Task | None, message: DeadMessage) -> None:
    """Call the task's on_dead in the open transaction of `conn`.

    If it fails, its effects are rolled back and the error is logged; the message still becomes a
    dead letter. Raises only errors that mean that PostgreSQL is unavailable.
    """
    if task is None or task.on_dead is None:
        return
    try:
        with conn.transaction():
            task.on_dead(conn, message)
    except Exception as error:
        if conn.closed or is_unavailable(error):
            raise
        details = {"task": task.name, "message_id": str(message.message_id)}
        text = f"on_dead of task {task.name} failed: {error}"
        log_action(log.error, "on_dead_failed", text, details, error=error)
