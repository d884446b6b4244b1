"""Answers to messages of other programs: an order by message, a status request."""

from __future__ import annotations

import logging
from typing import Any

from pizza.database.connection import BoundedConnection
from pizza.taskqueue import Job
from pizza.taskqueue.dead_letters.callback import DeadMessage
from pizza.taskqueue.logs import log_action
from pizza.taskqueue.message import sanitize_text
from pizza.taskqueue.subscriber.event import Event
from pizza.taskqueue.task import publish
from pizza.topology import is_ours

log = logging.getLogger(__name__)


def send_reply(
    conn: BoundedConnection, to: Job | DeadMessage | Event, answer: dict[str, Any]
) -> None:
    """Send an answer to the queue that a message names when the caller's transaction commits.

    Nothing is sent without a queue, and none to a queue of the restaurant: the answer is published
    with our rights, and the sender may not write there with its own.
    """
    if not to.reply_to:
        return
    queue = sanitize_text(to.reply_to)
    if is_ours(queue):
        text = f"No answer is sent: reply_to names {queue}, a queue of the restaurant"
        log_action(log.warning, "reply_refused", text, {"reply_to": queue})
        return
    echoed = None if to.correlation_id is None else sanitize_text(to.correlation_id)
    publish(conn, "", queue, answer, correlation_id=echoed)
