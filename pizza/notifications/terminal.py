"""Notifications for people: a line each, on a terminal."""

from __future__ import annotations

from datetime import datetime

from rich.console import Console
from rich.text import Text

from pizza.orders.status_messages import StatusMessage

_COLOURS = {
    "received": "yellow", "cooking": "bright_red", "ready": "green",
    "out-for-delivery": "cyan", "delivered": "bright_green", "cancelled": "magenta",
}  # fmt: skip


class Screen:
    """Where the lines go."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)

    def show(self, message: StatusMessage) -> None:
        """Print one notification."""
        self._console.print(line(message), soft_wrap=True)


def line(message: StatusMessage) -> Text:
    """When, which order, whose, what has changed, by whom, and when it will be done."""
    text = Text.assemble(
        (_clock(message.at), "dim"), "  ", (_safe(message.number), "bold"), "  ",
        _safe(message.customer or "?"), "  ",
    )  # fmt: skip
    if message.old is not None:
        text.append(message.old, _COLOURS.get(message.old, ""))
        text.append(" → ")
    text.append(message.new, _COLOURS.get(message.new, ""))
    text.append(f"  by {_safe(message.by)}")
    if message.estimated_completion is not None and message.new in ("received", "cooking"):
        text.append(f"  ready about {_clock(message.estimated_completion)}", "dim")
    return text


def _clock(moment: datetime) -> str:
    return moment.astimezone().strftime("%H:%M:%S")


def _safe(text: str) -> str:
    """No escape sequence of a guest's reaches the terminal."""
    return "".join(each if each.isprintable() else "�" for each in text)
