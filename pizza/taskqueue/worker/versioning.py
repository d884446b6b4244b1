"""Version skew: defers messages whose schema version this release does not know.

During an upgrade, workers of two releases serve the same queues. A message that only the newer
release understands is neither poison nor a failed attempt for an older worker, which reschedules
it for a newer one. Events need no version: they only get new fields (see docs/tasks.md).
"""

import logging
from collections import Counter
from datetime import timedelta

from pizza.database.connection import BoundedConnection, translate_errors
from pizza.database.queries import Queries
from pizza.taskqueue.app import App
from pizza.taskqueue.logs import LogThrottle, log_action
from pizza.taskqueue.message import Delivery

log = logging.getLogger(__name__)

_SQL = Queries("taskqueue/messages")

MIN_DELAY = timedelta(seconds=0.5)
MAX_DELAY = timedelta(seconds=10)
# A backlog of such messages is delivered again and again; each kind is logged so often.
_LOG_INTERVAL_S = 30.0


class VersionGuard:
    """Recognizes and defers messages of unknown versions, for one worker."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._throttle = LogThrottle(_LOG_INTERVAL_S)
        self._unlogged: Counter[tuple[str, int]] = Counter()

    def is_unknown(self, delivery: Delivery) -> bool:
        """Whether this program does not know the delivery's schema version.

        Of a task that this program does not have, it knows version 1: a message with version 1 is
        poison, a later one is deferred. Raises PoisonMessage if the delivery names no task.
        """
        if delivery.schema_version <= 1:
            return False
        task = self._app.tasks.get(delivery.task_name())
        return delivery.schema_version > (task.schema_version if task is not None else 1)

    def defer(self, conn: BoundedConnection, delivery: Delivery) -> bool:
        """Reschedule the message. Returns False if it does not wait: another delivery was first.

        Raises PoisonMessage for a delivery without an id, DatabaseUnavailable.
        """
        values = {"id": delivery.id(), "min_delay": MIN_DELAY, "max_delay": MAX_DELAY}
        with translate_errors():
            row = conn.execute(_SQL.defer, values).fetchone()
        if row is None or row[0] is None:
            return False
        self._log_throttled(delivery, row[0])
        return True

    def _log_throttled(self, delivery: Delivery, delay: timedelta) -> None:
        kind = name, version = delivery.task_name(), delivery.schema_version
        if not self._throttle.is_due(kind):
            self._unlogged[kind] += 1
            return
        details = {
            "task": name,
            "format": version,
            "queue": delivery.queue,
            "message_id": delivery.message_id,
            "since_last": self._unlogged.pop(kind, 0),
        }
        text = (
            f"A message of task {name} has format {version}, which this release does not know; "
            f"left to a newer worker, for {delay.total_seconds():.1f} s"
        )
        log_action(log.warning, "message_version_unknown", text, details)
