"""Checks while a schedule runs that each message makes progress within a bound.

The checker of invariants reads commits; this module finds work that is not done. A bound counts
from the last fault that excuses a delay: an outage excuses until its end, a freeze or a row lock
only at its beginning, because it must not delay other messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .database import Row
from .invariants import short

if TYPE_CHECKING:
    from .world import Cook, World

# A frozen leader is terminated, or one without a broker resigns, and the next has checked twice.
BOUND_S = 8.0
# A delivery may be on its way between the broker and a statement.
_UNDELIVERED_S = 0.4
BYSTANDER = "psql"


class Watch:
    """Looks every now and then at the rows, the deliveries and the cooks of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._since: dict[tuple[str, Any], float] = {}
        self._blamed: set[tuple[str, Any]] = set()
        self._runs: dict[Any, float] = {}
        self.excused_until = 0.0
        self.violations: list[str] = []

    def excuse(self, seconds: float = 0.0) -> None:
        """A fault delays messages, up to so many seconds from now."""
        until = self._world.scheduler.now + seconds
        self.excused_until = max(self.excused_until, until)

    def look(self) -> None:
        """Compare once."""
        world = self._world
        database, now = world.database, world.scheduler.now
        delivered = world.broker.delivered()
        world.broker.exempt -= delivered
        cooks = {each.holder: each for each in world.cooks}
        idle = any(each.well and not each.busy for each in world.cooks)
        for row in list(database.messages.values()):
            free = not self._is_locked(row)
            waits = row.state == "pending" or (row.state == "scheduled" and row.available_at <= now)
            self._bound(row, free and waits, "not published", BOUND_S)
            sent = row.state == "sent" and free
            self._bound(row, sent and idle, "not begun although a worker is idle", BOUND_S)
            self._bound(row, self._is_undelivered(row, delivered), "without a delivery", None)
            claimed = row.state == "claimed" and free and self._is_left(row, cooks)
            self._bound(row, claimed, "claimed by a worker that does not work on it", BOUND_S)

    def _is_locked(self, row: Row) -> bool:
        owner = self._world.database.locks.get(row.id)
        return owner is not None and owner.connection.process.name == BYSTANDER

    def _is_undelivered(self, row: Row, delivered: set[str]) -> bool:
        id = str(row.id)
        noted = row.id in self._world.database.tables["redelivery"]
        return (
            row.state == "sent"
            and id not in delivered
            and not noted
            and id not in self._world.broker.exempt
        )

    def _is_left(self, row: Row, cooks: dict[Any, Cook]) -> bool:
        cook = cooks.get(row.holder)
        if cook is None or cook.process.dead or cook.frozen:
            return True
        held = cook.worker._context.current_claim
        return held is None or held[0] != row.id

    def _bound(self, row: Row, is_so: bool, what: str, bound: float | None) -> None:
        key, now = (what, row.id), self._world.scheduler.now
        if not is_so:
            self._since.pop(key, None)
            return
        since = self._since.setdefault(key, now)
        if bound is None:
            late = now - since > _UNDELIVERED_S
        else:
            late = now - max(since, self.excused_until) > bound
        if late and key not in self._blamed:
            self._blamed.add(key)
            text = f"message {short(row.id)}: {what} for {now - since:.1f} s, {row.state}"
            self._world.scheduler.note(f"!!! {text}")
            self.violations.append(text)

    def periodic_run(self, name: str, now: float, period: float) -> None:
        """A run of a periodic task has been recorded, with this moment."""
        last = self._runs.get(name)
        if last is not None and now - last < 0.9 * period - 0.01:
            self.violations.append(f"periodic task {name} ran again after {now - last:.2f} s")
        self._runs[name] = now
