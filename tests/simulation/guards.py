"""The guards of the framework, each of which can be taken out, to see that the simulation can see.

claim       whoever has a ticket begins; nobody asks whether the message waits, or is held
fencing     transactions of a job do not compare its token
confirm     what was written to the broker counts as taken
sweep       nobody looks for orphaned claims and lost tickets
completion  the message ends in a transaction of its own, after that of the effect
order       the relay takes messages as they come, not in the order they were written in
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from pizza.database.connection import available
from pizza.framework.job import _COMPLETE, Job
from pizza.framework.publisher import Publisher

GUARDS = ("claim", "fencing", "confirm", "sweep", "completion", "order")


@contextmanager
def _late_completion(self: Job) -> Generator[Any]:
    with self._guarded() as conn:
        yield conn
    with self._guarded() as conn, available():
        row = conn.first(_COMPLETE, self._guard())
    self._ended(*row)


def _no_confirms(self: Publisher) -> None:
    self._open.clear()


def taken_out(off: frozenset[str]) -> ExitStack:
    """Replace the code of guards that are Python; those in SQL are known to the model's rules."""
    unknown = off - set(GUARDS)
    if unknown:
        raise ValueError(f"there is no guard {', '.join(unknown)}; there are {', '.join(GUARDS)}")
    stack = ExitStack()
    if "completion" in off:
        stack.enter_context(patch.object(Job, "completion", _late_completion))
    if "confirm" in off:
        stack.enter_context(patch.object(Publisher, "_await_confirms", _no_confirms))
    return stack
