"""The guards of the framework. Without any of them the simulation has to find a violation.

claim         a worker with a delivery begins without checking the state of the message
fencing       transactions of a job do not compare its token
confirm       a message written to the broker counts as confirmed
completion    the message ends in a second transaction, after that of the effect
order         the publisher does not keep the order in which messages were written
rescue        claims of dead workers are not released
republish     messages that the broker lost are not published again
redelivery    a delivery that was dropped because its message was locked is not recorded
own claim     a worker that cannot lock the row of its claim does not try again
unmarked      a delivery is not recorded while its message is not yet marked as sent
new delivery  a message that a worker releases counts as still delivered
skip locked   statements of the leader wait for row locks
resign        a leader without a broker does not resign in favour of candidates with one
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
