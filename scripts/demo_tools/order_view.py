"""An order as the API shows it: its steps, read from its history and checked."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pizza.domain.order import DELIVERY
from pizza.domain.status import CANCELLED, COOKING, DELIVERED, OUT_FOR_DELIVERY, READY, RECEIVED
from supervisor.api_client import ApiClient
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


def verify(client: ApiClient, views: Sequence[OrderView]) -> list[str]:
    """Read all histories again and summarise them; RushFailed if one was lost or doubled."""
    if len({view.number for view in views}) != len(views):
        raise RushFailed("Two orders were given the same number.")
    for view in views:
        view.history = client.get(f"/orders/{view.number}/history")
    again = [view for view in views if times_sent_back(view)]
    cancelled = [view for view in views if view.status == CANCELLED]
    cooked = [view for view in views if view not in cancelled]
    words = [f"Checked: {len(cooked)} orders, each received, cooked, ready and delivered once."]
    words += [_sent_back(view) for view in again]
    words += [_overtook(view, cooked) for view in cooked if _changes(view)]
    words += [f"  {view.number} was cancelled while it waited." for view in cancelled]
    if taken_over := sum(len(view.notes(TAKEN_OVER)) for view in views):
        words.append(f"  {taken_over} taken over from a cook that had gone.")
    return words


def _changes(view: OrderView) -> list[Row]:
    """The changes of its priority; the first row has the note on the initial one."""
    return [row for row in view.notes(REPRIORITISED) if row is not view.history[0]]


def _sent_back(view: OrderView) -> str:
    way = [row["status"] for row in view.history]
    row = view.history[way.index("received", way.index("ready"))]
    text = f"  But {view.number} was cooked and ready again: {row['changed_by']} sent it back"
    return f"{text} ({row['notes']})."


def _overtook(view: OrderView, others: Sequence[OrderView]) -> str:
    """Says how many older orders of its former priority it passed."""
    began = view.first_time(COOKING)
    older = [each for each in others if each.number < view.number and each.priority == 1]
    late = [x for x in older if began and (begun := x.first_time(COOKING)) and begun > began]
    note = _changes(view)[0]["notes"]
    return f"  {view.number} overtook {len(late)} that had waited longer ({note})."


def time_of(row: Row) -> datetime:
    """When a row of a history was written."""
    return datetime.fromisoformat(row["timestamp"])


def seconds(value: float | None) -> str:
    """A duration for people, or a dash while it is open."""
    return "–" if value is None else f"{value:.1f} s"
