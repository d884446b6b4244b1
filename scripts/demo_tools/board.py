"""What the demo shows: a live table on a terminal, a line for each change elsewhere."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.live import Live

from demo_tools.order_view import HEADINGS, OrderView, Row
from terminal.tables import build_table


class DemoBoard:
    """Shows orders while they change, in a `with` block of `watching`."""

    def __init__(self) -> None:
        self._views: Sequence[OrderView] = ()
        self._live = Live(auto_refresh=False, transient=True)

    @contextmanager
    def watching(self, views: Sequence[OrderView]) -> Iterator[None]:
        """Draw the orders for the time of the block."""
        self._views = views
        if self._live.console.is_terminal:
            with self._live:
                yield
        else:
            yield

    def show(self, changed: OrderView | None, row: Row | None) -> None:
        """Draw the table again; print a change, if any, where no table is drawn."""
        if self._live.console.is_terminal:
            table = build_table(HEADINGS, [view.table_row() for view in self._views])
            self._live.update(table, refresh=True)
        elif changed and row:
            print(changed.line(row), flush=True)
