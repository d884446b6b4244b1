"""Answers to messages of other programs: an order by message, a status request."""

from __future__ import annotations

import logging
from typing import Any

from pizza.database.connection import BoundedConnection
from pizza.taskqueue.logs import log_action
from pizza.taskqueue.message import sanitize_text
from pizza.taskqueue.task import publish
from pizza.topology import is_ours

log = logging.getLogger(__name__)


def send_reply(
    conn: BoundedConnection,
    reply_to: str | None,
    answer: dict[str, Any],
    correlation_id: str | None,
) -> None:
    """Send an answer to the queue `reply_to` when the caller's transaction commits.

    Nothing is sent without a queue, and none to a queue of the restaurant: the answer is published
    with our rights, and the sender may not write there with its own.
    """
    if not reply_to:
        return
    queue = sanitize_text(reply_to)
    if is_ours(queue):
        text = f"No answer is sent: reply_to names {queue}, a queue of the restaurant"
        log_action(log.warning, "reply_refused", text, {"reply_to": queue})
        return
    echoed = None if correlation_id is None else sanitize_text(correlation_id)
    publish(conn, "", queue, answer, correlation_id=echoed)
