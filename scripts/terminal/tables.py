"""Tables for people: drawn and coloured on a terminal, plain columns elsewhere."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

Row = tuple[Sequence[str], str]


def build_table(headings: Sequence[str], rows: Sequence[Row]) -> Table:
    """A table of rows, each its cells and a colour (empty for none)."""
    table = Table(*headings)
    for cells, style in rows:
        table.add_row(*cells, style=style)
    return table


def print_table(headings: Sequence[str], rows: Sequence[Row]) -> None:
    """Print rows, each its cells and a colour (empty for none)."""
    if sys.stdout.isatty():
        Console().print(build_table(headings, rows))
        return
    lines = [headings, *(cells for cells, _ in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    for line in lines:
        print("  ".join(map(str.ljust, line, widths)).rstrip())
