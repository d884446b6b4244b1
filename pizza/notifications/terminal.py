"""Prints notifications on a terminal, one line each."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from rich.console import Console
from rich.text import Text

from pizza.orders import StatusMessage

_COLOURS = {
    "received": "yellow",
    "cooking": "bright_red",
    "ready": "green",
    "out-for-delivery": "cyan",
    "delivered": "bright_green",
    "cancelled": "magenta",
}


def make_terminal_printer(console: Console | None = None) -> Callable[[StatusMessage], None]:
    """A function that prints a notification. console: by default one on stdout."""
    out = console or Console(highlight=False, soft_wrap=True)
    return lambda message: out.print(format_line(message), soft_wrap=True)


def format_line(message: StatusMessage) -> Text:
    """Time, order, customer, status, actor, and the estimated completion, with colours."""
    time, number = (_format_time(message.at), "dim"), (_escape(message.number), "bold")
    text = Text.assemble(time, "  ", number, "  ", _escape(message.customer or "?"), "  ")
    if message.old is not None:
        text.append(message.old, _COLOURS.get(message.old, ""))
        text.append(" → ")
    text.append(message.new, _COLOURS.get(message.new, ""))
    text.append(f"  by {_escape(message.by)}")
    if message.estimated_completion is not None and message.new in ("received", "cooking"):
        text.append(f"  ready about {_format_time(message.estimated_completion)}", "dim")
    return text


def _format_time(moment: datetime) -> str:
    return moment.astimezone().strftime("%H:%M:%S")


def _escape(text: str) -> str:
    """The text without control characters, so that it has no escape sequences."""
    return "".join(each if each.isprintable() else "�" for each in text)
