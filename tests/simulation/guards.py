"""The guards of the framework, each of which can be taken out, to see that the simulation can see.

claim         whoever has a delivery begins; nobody asks whether the message waits, or is held
fencing       transactions of a job do not compare its token
confirm       what was written to the broker counts as taken
completion    the message ends in a transaction of its own, after that of the effect
order         the publisher takes messages as they come, not in the order they were written in
rescue        claims of workers that are gone are not freed
republish     what the broker has lost is not published again
redelivery    a delivery that was dropped as its message was locked is not noted
own claim     a worker that cannot lock the row of its own claim leaves it alone
unmarked      a delivery is not noted for what was published and is yet to be marked as sent
new delivery  a message that a worker gives back counts as still delivered
skip locked   statements of the leader wait for row locks
resign        a leader without a broker keeps the lead beside candidates that have one
terminate     the transaction of a frozen worker is not ended
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from pizza.database.connection import translate_errors
from pizza.taskqueue.broker.publisher import Publisher
from pizza.taskqueue.job import _COMPLETE, Job
from pizza.taskqueue.outbox.relay import Relay
from pizza.taskqueue.outbox.republisher import Republisher

GUARDS = (
    "claim", "fencing", "confirm", "completion", "order", "rescue", "republish", "redelivery",
    "own claim", "unmarked", "new delivery", "skip locked", "resign", "terminate",
)  # fmt: skip


@contextmanager
def _late_completion(self: Job) -> Generator[Any]:
    with self._fenced() as conn:
        yield conn
    with self._fenced() as conn, translate_errors():
        row = conn.fetch_first(_COMPLETE, self._fence_params())
    self._set_completed(*row)


def _no_confirms(self: Publisher) -> None:
    self._unconfirmed.clear()


def _no_republishing(self: Republisher, broker: object) -> None:
    """Nothing is looked for."""


_heartbeat = Relay._heartbeat


def _heartbeat_alone(self: Relay, conn: Any) -> bool:
    _heartbeat(self, conn)
    return False


_IN_PYTHON: dict[str, tuple[type, str, Any]] = {
    "completion": (Job, "complete", _late_completion),
    "confirm": (Publisher, "_await_confirms", _no_confirms),
    "republish": (Republisher, "step", _no_republishing),
    "resign": (Relay, "_heartbeat", _heartbeat_alone),
}


def taken_out(off: frozenset[str]) -> ExitStack:
    """Replace the code of guards that are Python; those in SQL are known to the model's rules."""
    unknown = off - set(GUARDS)
    if unknown:
        raise ValueError(f"there is no guard {', '.join(unknown)}; there are {', '.join(GUARDS)}")
    stack = ExitStack()
    for guard in off & set(_IN_PYTHON):
        stack.enter_context(patch.object(*_IN_PYTHON[guard]))
    return stack
