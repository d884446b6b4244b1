"""`flask --app pizza orders …`: find and change orders."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import click

from pizza.audit import audit_log
from pizza.audit.audit_log import Subject
from pizza.cli import output, terminal
from pizza.domain.order import ORDER_TYPES
from pizza.domain.status import STAFF, STATUSES
from pizza.orders import actions
from pizza.orders import orders as service
from pizza.web.schemas import documents

_COLUMNS = {
    "Number": "order_number",
    "Status": "status",
    "Stage": "stage",
    "Type": "order_type",
    "Priority": "priority",
    "Total": "total_amount",
    "Customer": "customer_name",
    "Received (UTC)": "created_at",
    "Expected": "estimated_completion",
}
_REASON = "Why, for the log."


@click.group(cls=output.StaffGroup)
def orders() -> None:
    """Orders: find and change them."""


@orders.command("list")
@click.option("--status", type=click.Choice(STATUSES), help="Only those.")
@click.option("--type", "order_type", type=click.Choice(ORDER_TYPES), help="Only those.")
@click.option("--limit", type=int, default=service.LISTED, show_default=True, help="How many.")
@click.option("--before", metavar="NUMBER", help="Only older ones than this order.")
def list_(**asked: Any) -> None:
    """Show orders, newest first.

    Example:
      flask --app pizza orders list --status ready --limit 20
    """
    with output.open_database() as conn:
        found = service.list_orders(conn, **asked)
        audit_log.record_read(conn, output.current_actor(), "orders_read", Subject("order"))
    output.print_list(map(documents.summary, found), _COLUMNS, nothing="There are no such orders.")


@orders.command()
@click.argument("number")
def show(number: str) -> None:
    """Show an order with its items and its history.

    Example:
      flask --app pizza orders show ORD_20241216_001
    """
    with output.open_database() as conn:
        found = service.get_order(conn, number)
        history = service.order_history(conn, number)
        audit_log.record_read(
            conn, output.current_actor(), "order_read", Subject("order", found.number)
        )
    document = documents.order(found)
    if output.wants_json():
        steps = [dataclasses.asdict(step) for step in history]
        output.print_json({**document, "history": steps})
        return
    del document["items"]
    output.print_document(document)
    terminal.echo()
    items = [[item.name, item.quantity, item.price] for item in found.items]
    output.print_table(["Item", "Quantity", "Price"], items)
    terminal.echo()
    rows = [[row.timestamp, row.status, row.changed_by, row.notes] for row in history]
    output.print_table(["Time (UTC)", "Status", "By", "Notes"], rows)


@orders.command()
@click.argument("number")
@click.option("--reason", help=f"{_REASON} Needed once it cooks.")
@output.by
def cancel(number: str, **words: Any) -> None:
    """Cancel an order.

    Example:
      flask --app pizza orders cancel ORD_20241216_001 --reason "The guest has left"
    """
    _change(number, actions.cancel, role=STAFF, **words)


@orders.command()
@click.argument("number")
@output.by
def deliver(number: str, **words: Any) -> None:
    """Hand an order over; a delivery goes out first, and is delivered the next time.

    Example:
      flask --app pizza orders deliver ORD_20241216_001 --by anna
    """
    _change(number, actions.deliver, **words)


@orders.command("send-back")
@click.argument("number")
@click.option("--reason", required=True, help=_REASON)
@output.by
def send_back(number: str, **words: Any) -> None:
    """Send a ready order back to the kitchen; it is cooked again before all others.

    Example:
      flask --app pizza orders send-back ORD_20241216_001 --reason "Burnt"
    """
    _change(number, actions.send_back, **words)


@orders.command()
@click.argument("number")
@click.argument("priority", type=int)
@click.option("--reason", required=True, help=_REASON)
@output.by
def priority(number: str, **words: Any) -> None:
    """Give an order another priority, 1 to 10; one that waits moves at once.

    Example:
      flask --app pizza orders priority ORD_20241216_001 9 --reason "Birthday"
    """
    _change(number, actions.set_priority, **words)


def _change(number: str, verb: Callable[..., None], **words: Any) -> None:
    with output.open_database() as conn:
        verb(conn, number, actor=output.current_actor(), **words)
        found = service.get_order(conn, number)
    sentence = f"Order {number} is {found.status}, priority {found.priority}."
    output.print_result(sentence, documents.order(found))
