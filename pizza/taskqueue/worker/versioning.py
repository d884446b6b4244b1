"""Messages of a newer format than this worker knows: left for a worker of the newer release.

While an upgrade is under way workers of two releases serve the same queues. A message that only
the newer one understands is neither poison nor a failed attempt for the older one: it becomes a
row that is due again later, and by then most probably another's. (An event needs none of this: it
can only grow; see docs/tasks.md.)
"""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from pizza.database.connection import BoundedConnection, translate_errors
from pizza.database.queries import Queries
from pizza.taskqueue.app import App
from pizza.taskqueue.message import Delivery

log = logging.getLogger(__name__)

_LEAVE = Queries("taskqueue/messages").defer

SHORTEST = timedelta(seconds=0.5)
LONGEST = timedelta(seconds=10)
# A backlog of them comes by again and again; the log hears of each kind so often.
_SAY_AGAIN_S = 30.0


class VersionGuard:
    """What one worker leaves to others."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._said: dict[tuple[str, int], float] = {}
        self._unsaid: dict[tuple[str, int], int] = {}

    def than_known(self, delivery: Delivery) -> bool:
        """Whether a delivery is of a format that this program does not know.

        A task that there is not here counts as known in format 1: such a delivery is poison, unless
        it says that it is newer. Raises PoisonMessage when it names no task.
        """
        if delivery.schema_version <= 1:
            return False
        task = self._app.tasks.get(delivery.task_name())
        return delivery.schema_version > (task.schema_version if task is not None else 1)

    def leave(self, conn: BoundedConnection, delivery: Delivery) -> bool:
        """Let it wait for somebody else; False when it is nobody's to leave any more.

        Raises PoisonMessage for a delivery without an id, DatabaseUnavailable.
        """
        values = {"id": delivery.id(), "shortest": SHORTEST, "longest": LONGEST}
        with translate_errors():
            row = conn.execute(_LEAVE, values).fetchone()
        if row is None or row[0] is None:
            return False
        self._say(delivery, row[0])
        return True

    def _say(self, delivery: Delivery, pause: timedelta) -> None:
        kind, now = (delivery.task_name(), delivery.schema_version), time.monotonic()
        if now - self._said.get(kind, -_SAY_AGAIN_S) < _SAY_AGAIN_S:
            self._unsaid[kind] = self._unsaid.get(kind, 0) + 1
            return
        self._said[kind] = now
        name, format = kind
        others = self._unsaid.pop(kind, 0)
        log.warning(
            "A message of task %s has format %d, which this release does not know; "
            "left to a newer worker, for %.1f s", name, format, pause.total_seconds(),
            extra={
                "action": "message_newer",
                "details": {"task": name, "format": format, "queue": delivery.queue,
                            "message_id": delivery.message_id, "since_last": others},
            },
        )  # fmt: skip
