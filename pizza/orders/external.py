"""Orders from other programs: the specified order message on `orders_direct` becomes an order.

The worker accepts such a message unchanged (pizza.taskqueue.worker.inbox). This task makes an order
of it, which then is cooked like any other. A bad one becomes a dead letter with its reason. Its
sender gets an answer if the message has `reply_to`.
"""

from __future__ import annotations

import json
import logging
from decimal import Decimal
from typing import Any

from pizza.database.connection import BoundedConnection
from pizza.domain.errors import DomainError, DuplicateOrder, InvalidOrder
from pizza.domain.order import OrderDraft
from pizza.menu import read_menu
from pizza.orders import orders
from pizza.orders.replies import send_reply
from pizza.taskqueue import Blueprint, Job, RetryPolicy
from pizza.taskqueue.dead_letters.callback import DeadMessage
from pizza.taskqueue.errors import PoisonMessage
from pizza.taskqueue.logs import log_action
from pizza.topology import KITCHEN_QUEUE

log = logging.getLogger(__name__)

PRODUCER = "outside"

# What the order message has beyond the order form; all of it is ours to say.
_OURS = ("order_number", "created_at", "stage", "total_amount")
# A full or paused kitchen is asked again for about a day.
_RETRY = RetryPolicy(max_attempts=300, initial_delay=2.0, multiplier=2.0, max_delay=300.0)
_LONGEST_REASON = 1000


def read_message(body: Any) -> OrderDraft:
    """Make a draft of an order message. Raises PoisonMessage, naming each field that is bad."""
    # Not at import: a cook that never sees such a message does without the library.
    from pizza.orders.schema import parse_order  # noqa: PLC0415

    exact = json.loads(json.dumps(body), parse_float=Decimal)
    if not isinstance(exact, dict):
        raise PoisonMessage("the order message is not a JSON object")
    form = {name: value for name, value in exact.items() if name not in _OURS}
    try:
        draft = parse_order(form)
    except InvalidOrder as error:
        raise PoisonMessage(str(error)) from None
    total = exact.get("total_amount")
    if total is not None and total != draft.total:
        raise PoisonMessage(f"total_amount is {total}, but the items cost {draft.total}")
    return draft


def answer_dead(conn: BoundedConnection, dead: DeadMessage) -> None:
    """Answer an order message that is given up; in the transaction of its dead letter.

    The sender learns what is wrong with the order, and nothing of faults of this program.
    """
    known = isinstance(dead.error, DomainError | PoisonMessage)
    error = str(dead.error)[:_LONGEST_REASON] if known else "The order could not be placed."
    send_reply(conn, dead, {"ok": False, "error": error})


def external_order_tasks(base_seconds: float) -> Blueprint:
    """The task for messages from outside; base_seconds is the cooking time of a takeout."""
    blueprint = Blueprint("outside")

    @blueprint.task(
        "accept_order", queue=KITCHEN_QUEUE, retry=_RETRY, decode=read_message, on_dead=answer_dead
    )
    def accept_order(job: Job) -> None:
        with job.complete() as conn:
            try:
                placed = orders.place_order(
                    conn,
                    job.body,
                    base_seconds=base_seconds,
                    menu=read_menu(conn).tags,
                    source=job.id,
                    by=PRODUCER,
                )
                number, answer = placed.number, {"status": placed.status}
            except DuplicateOrder as twice:
                number, answer = twice.number, {"status": "received"}
            send_reply(conn, job, {"order_number": number, **answer})
        text = "Order received from another program"
        details = {"customer_name": job.body.customer_name, "order_type": job.body.order_type}
        log_action(log.info, "order_received", text, details, order_number=number)

    return blueprint
