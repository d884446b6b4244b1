"""Chores: what an application does every few seconds, in one process at a time.

The leading relay runs them between two batches, each in a transaction of its own, so they have
to be brief; one that fails is logged and has its next turn as usual.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pizza.database.connection import BoundedConnection, available
from pizza.database.errors import DatabaseRefused, DatabaseUnavailable
from pizza.framework.errors import ConfigurationError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chore:
    """name: for the log; seconds: from one turn to the next; run: gets an open transaction."""

    name: str
    seconds: float
    run: Callable[[BoundedConnection], object]

    def __post_init__(self) -> None:
        if self.seconds <= 0:
            raise ConfigurationError(f"chore {self.name} needs a pause of more than 0 seconds")


class Turns:
    """Whose turn it is, for one leader on its connection."""

    def __init__(self, chores: Iterable[Chore], conn: BoundedConnection) -> None:
        self._due = {chore: time.monotonic() for chore in chores}
        self._conn = conn

    def take(self) -> None:
        """Run the chores that are due. Raises DatabaseUnavailable; logs every other failure."""
        now = time.monotonic()
        for chore, due in self._due.items():
            if due > now:
                continue
            self._due[chore] = now + chore.seconds
            try:
                with available(), self._conn.transaction():
                    chore.run(self._conn)
            except DatabaseRefused as error:
                log.warning(
                    "Chore %s has its next turn in %g s: %s", chore.name, chore.seconds, error,
                    extra={"action": "chore_failed"},
                )  # fmt: skip
            except DatabaseUnavailable:
                raise
            except Exception as error:
                if self._conn.closed:
                    raise
                log.warning(
                    "Chore %s failed; its next turn is in %g s", chore.name, chore.seconds,
                    exc_info=error, extra={"action": "chore_failed"},
                )  # fmt: skip
