"""Notifications as text on a terminal."""

import io

from rich.console import Console

from pizza.notifications.terminal import format_line, make_terminal_printer
from pizza.orders.status_messages import read_status_message

BODY = {
    "order_number": "ORD_20241216_001",
    "old_status": "received",
    "new_status": "cooking",
    "changed_by": "chef_mario",
    "timestamp": "2024-12-16T10:32:00Z",
    "estimated_completion": "2024-12-16T10:42:00Z",
    "customer_name": "John Doe",
}


def text(**fields):
    return format_line(read_status_message(BODY | fields, None)).plain


def test_a_line_has_all_fields():
    said = text()
    for part in (
        "ORD_20241216_001",
        "John Doe",
        "received → cooking",
        "by chef_mario",
        "ready about",
    ):
        assert part in said


def test_an_ended_order_has_no_estimate():
    assert "ready about" not in text(new_status="ready", old_status="cooking")


def test_a_new_order_was_nothing_before():
    assert "→" not in text(new_status="received", old_status=None)


def test_no_escape_sequence_reaches_the_terminal():
    assert "\x1b" not in text(customer_name="\x1b[31mBobby\n", changed_by="a\x9bb")


def test_markup_is_just_text_and_long_lines_stay_whole():
    console = Console(file=io.StringIO(), width=20, highlight=False)
    make_terminal_printer(console)(
        read_status_message(BODY | {"customer_name": "[red]Jo[/red]"}, None)
    )
    said = console.file.getvalue()
    assert "[red]Jo[/red]" in said
    assert said.count("\n") == 1
