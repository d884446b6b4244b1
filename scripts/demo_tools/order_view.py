"""An order as the API shows it: its steps, read from its history."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pizza.domain.order import DELIVERY
from pizza.domain.status import (
    CANCELLED,
    COOKING,
    DELIVERED,
    OUT_FOR_DELIVERY,
    READY,
    RECEIVED,
)

Row = dict[str, Any]

# A second row of the same status is no doubled work when it begins so.
TAKEN_OVER, REPRIORITISED = "taken over from ", "priority "


class RushFailed(RuntimeError):
    """The rush did not end as it must; the message is one sentence."""


@dataclass
class OrderView:
    """One order: what its status said last, its history so far, and the address of its page."""

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

    @property
    def cook(self) -> str:
        """Who cooked it, or does."""
        cooks = [row["changed_by"] for row in self.history if row["status"] == COOKING]
        return str(cooks[-1]) if cooks else ""

    @property
    def waited(self) -> float | None:
        """Seconds until it was first begun."""
        return self._seconds(RECEIVED, COOKING)

    @property
    def delivered_in(self) -> float | None:
        """Seconds until it was in the guest's hands."""
        return self._seconds(RECEIVED, DELIVERED)

    @property
    def cooked_in(self) -> float | None:
        """Seconds in the kitchen, of all its cookings together; None before the first is over."""
        whole, begun = None, None
        for row in self.history:
            if row["status"] == COOKING:
                begun = begun or _moment(row)
            elif row["status"] == READY and begun:
                whole = (whole or 0.0) + (_moment(row) - begun).total_seconds()
                begun = None
        return whole

    def update(self, now: Row, history: list[Row]) -> list[Row]:
        """Note where it stands now; gives the rows of the history that are new."""
        self.status, self.priority, self.stage = (
            now["current_status"], now["priority"], now["stage"],
        )  # fmt: skip
        self.updated_at = now["updated_at"]
        news = history[len(self.history) :]
        self.history = history
        return news

    def begun(self) -> datetime | None:
        """When a cook first began with it."""
        return next((_moment(row) for row in self.history if row["status"] == COOKING), None)

    def notes(self, beginning: str) -> list[Row]:
        """The rows whose notes begin so."""
        return [row for row in self.history if (row["notes"] or "").startswith(beginning)]

    def _seconds(self, first: str, last: str) -> float | None:
        times: dict[str, datetime] = {}
        for row in self.history:
            times.setdefault(row["status"], _moment(row))
        return (
            (times[last] - times[first]).total_seconds() if {first, last} <= times.keys() else None
        )


def times_sent_back(view: OrderView) -> int:
    """How often quality sent it back. Raises RushFailed when its way is not the right one.

    Right is: each status once, in order; those up to `ready` once more each time it was sent
    back; nothing but `received` before `cancelled`.
    """
    way = list(_steps(view))
    if way == [RECEIVED, CANCELLED]:
        return 0
    back = way.count(READY) - 1
    right = [RECEIVED, COOKING, READY] * (back + 1)
    right += [OUT_FOR_DELIVERY] if view.order_type == DELIVERY else []
    if way != [*right, DELIVERED]:
        raise RushFailed(f"{view.number} went a wrong way: {' → '.join(way)}.")
    return back


def _steps(view: OrderView) -> Iterator[str]:
    """The statuses it went through. Raises RushFailed for one that was entered twice at once."""
    before = ""
    for row in view.history:
        status = row["status"]
        if status != before:
            yield status
        elif not (row["notes"] or "").startswith((TAKEN_OVER, REPRIORITISED)):
            raise RushFailed(f"{view.number} became {status} twice.")
        before = status


def _moment(row: Row) -> datetime:
    return datetime.fromisoformat(row["timestamp"])
