"""An order as the API shows it: its steps, read from its history."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pizza.domain.order import DELIVERY
from pizza.domain.status import CANCELLED, COOKING, DELIVERED, OUT_FOR_DELIVERY, READY, RECEIVED
from terminal.tables import Row as TableRow

Row = dict[str, Any]

# Notes that explain why a status is recorded twice in sequence.
TAKEN_OVER, REPRIORITISED = "taken over from ", "priority "
HEADINGS = ("order", "type", "priority", "status", "cook", "waited", "cooked in", "delivered in")
COLOURS = {
    RECEIVED: "yellow",
    COOKING: "bright_red",
    READY: "green",
    OUT_FOR_DELIVERY: "cyan",
    DELIVERED: "bright_green",
    CANCELLED: "bright_black",
}


class RushFailed(RuntimeError):
    """The rush did not end as it must; the message is one sentence."""


@dataclass
class OrderView:
    """One order: its last status, its history so far, and the address of its page."""

    number: str
    order_type: str
    priority: int
    status: str = RECEIVED
    stage: str | None = "kitchen"
    updated_at: str = ""
    history: list[Row] = field(default_factory=list)
    page: str = ""

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.status in (DELIVERED, CANCELLED)

    def update(self, now: Row, history: list[Row]) -> list[Row]:
        """Take over its status and its history; gives the rows of the history that are new."""
        self.status, self.priority = now["current_status"], now["priority"]
        self.stage, self.updated_at = now["stage"], now["updated_at"]
        news = history[len(self.history) :]
        self.history = history
        return news

    def first_time(self, status: str) -> datetime | None:
        """When it first had a status."""
        return next((time_of(row) for row in self.history if row["status"] == status), None)

    def seconds_until(self, status: str) -> float | None:
        """Seconds from its placing until it first had a status."""
        placed, reached = self.first_time(RECEIVED), self.first_time(status)
        return (reached - placed).total_seconds() if placed and reached else None

    def cooked_in(self) -> float | None:
        """Seconds in the kitchen, all times together; None before the first has ended."""
        total, started = None, None
        for row in self.history:
            if row["status"] == COOKING:
                started = started or time_of(row)
            elif row["status"] == READY and started:
                total = (total or 0.0) + (time_of(row) - started).total_seconds()
                started = None
        return total

    def notes(self, beginning: str) -> list[Row]:
        """The rows whose notes begin so."""
        return [row for row in self.history if (row["notes"] or "").startswith(beginning)]

    def table_row(self) -> TableRow:
        """Its row under HEADINGS."""
        cooks = [row["changed_by"] for row in self.history if row["status"] == COOKING]
        cook = str(cooks[-1]) if cooks else ""
        waited, delivered = self.seconds_until(COOKING), self.seconds_until(DELIVERED)
        times = map(seconds, (waited, self.cooked_in(), delivered))
        cells = (self.number, self.order_type, str(self.priority), self.status, cook, *times)
        return cells, COLOURS.get(self.status, "")

    def line(self, row: Row) -> str:
        """One change as a line of text."""
        status, by, note = row["status"], row["changed_by"], row["notes"] or ""
        text = f"  {self.number}  {self.order_type:8}  {status}"
        noted = f" by {by}" + (f" ({note})" if note else "")
        match status:
            case "cooking" if not note:
                return f"{text} by {by} after {seconds(self.seconds_until(COOKING))}"
            case "ready":
                return f"{text} in {seconds(self.cooked_in())}"
            case "delivered":
                return f"{text} by {by} in {seconds(self.seconds_until(DELIVERED))}"
            case "received" if row is self.history[0]:
                return f"{text}, {note}"
        return text + noted


def times_sent_back(view: OrderView) -> int:
    """How often quality sent it back. Raises RushFailed when its steps are not the right ones.

    Right is: each status once, in order; those up to `ready` once more each time it was sent
    back; nothing but `received` before `cancelled`.
    """
    steps = list(_steps(view))
    if steps == [RECEIVED, CANCELLED]:
        return 0
    back = steps.count(READY) - 1
    right = [RECEIVED, COOKING, READY] * (back + 1)
    right += [OUT_FOR_DELIVERY] if view.order_type == DELIVERY else []
    if steps != [*right, DELIVERED]:
        raise RushFailed(f"{view.number} went a wrong way: {' → '.join(steps)}.")
    return back


def _steps(view: OrderView) -> Iterator[str]:
    """The statuses it had. Raises RushFailed for one that was entered twice at once."""
    before = ""
    for row in view.history:
        status = row["status"]
        if status != before:
            yield status
        elif not (row["notes"] or "").startswith((TAKEN_OVER, REPRIORITISED)):
            raise RushFailed(f"{view.number} became {status} twice.")
        before = status


def time_of(row: Row) -> datetime:
    """When a row of a history was written."""
    return datetime.fromisoformat(row["timestamp"])


def seconds(value: float | None) -> str:
    """A duration for people, or a dash while it is open."""
    return "–" if value is None else f"{value:.1f} s"
