"""What the demo shows: a live board on a terminal, plain lines elsewhere, a table at the end."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from demo_tools.order_view import OrderView, Row

COLOURS = {
    "received": "yellow",
    "cooking": "bright_red",
    "ready": "green",
    "out-for-delivery": "cyan",
    "delivered": "bright_green",
    "cancelled": "bright_black",
}
PLAIN_WIDTH = 100


class DemoBoard:
    """Shows orders while they change."""

    def __init__(self) -> None:
        """On a terminal one table that is drawn again; elsewhere a line for each change."""
        self.console = Console(highlight=False)
        if not self.console.is_terminal:
            self.console = Console(highlight=False, width=PLAIN_WIDTH)
        self._tickets: Sequence[OrderView] = ()
        self._live: Live | None = None

    @contextmanager
    def watching(self, views: Sequence[OrderView]) -> Iterator[None]:
        """Draw the orders live for the time of the block."""
        self._tickets = views
        if not self.console.is_terminal:
            yield
            return
        with Live(
            self._table(), console=self.console, auto_refresh=False, transient=True
        ) as self._live:
            yield
        self._live = None

    def show(self, changed: OrderView | None, row: Row | None) -> None:
        """Draw again (None), or print what has happened to an order."""
        if self._live:
            self._live.update(self._table(), refresh=True)
        elif changed and row and not self.console.is_terminal:
            self.console.print(line(changed, row), soft_wrap=True)

    def print_result(self) -> None:
        """The final table."""
        self.console.print(self._table())

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, 1), header_style="bold")
        for heading in ("order", "type", "priority", "status", "cook"):
            table.add_column(
                heading, no_wrap=True, justify="right" if heading == "priority" else "left"
            )
        for heading in ("waited", "cooked in", "delivered in"):
            table.add_column(heading, no_wrap=True, justify="right")
        for view in self._tickets:
            status = Text(view.status, style=COLOURS.get(view.status, ""))
            cells = (view.number, view.order_type, str(view.priority), status, view.cook)
            times = (view.waited, view.cooked_in, view.delivered_in)
            table.add_row(*cells, *map(seconds, times))
        return table


def line(view: OrderView, row: Row) -> str:
    """One change as a line of text."""
    status, by, note = row["status"], row["changed_by"], row["notes"] or ""
    text = f"  {view.number}  {view.order_type:8}  {status}"
    match status:
        case "cooking":
            text += f" by {by}" + (f" ({note})" if note else f" after {seconds(view.waited)}")
        case "ready":
            text += f" in {seconds(view.cooked_in)}"
        case "delivered":
            text += f" by {by} in {seconds(view.delivered_in)}"
        case "received" if row is view.history[0]:
            text += f", {note}"
        case _:
            text += f" by {by}" + (f" ({note})" if note else "")
    return text


def seconds(value: float | None) -> str:
    """A duration for people, or a dash while it is open."""
    return "–" if value is None else f"{value:.1f} s"
