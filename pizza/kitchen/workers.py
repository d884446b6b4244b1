"""Registration of workers: unique names, at most ten, a heartbeat every 30 seconds."""

from __future__ import annotations

import logging
import time

import psycopg

from pizza.database.connection import BoundedConnection
from pizza.database.errors import DatabaseError
from pizza.kitchen import worker_storage
from pizza.kitchen.worker_storage import WorkerProfile
from pizza.taskqueue.errors import RegistrationRefused
from pizza.taskqueue.logs import log_action
from pizza.taskqueue.worker.session import WorkerRegistry

log = logging.getLogger(__name__)

MAX_WORKERS = 10
# The database session of a killed worker may end a moment later.
_RETRY_S = 2.0


class RestaurantWorkerRegistry(WorkerRegistry):
    """The restaurant's registration of one worker."""

    def __init__(self, name: str, profile: WorkerProfile, text: str) -> None:
        self._name = name
        self._profile = profile
        self._text = text

    def register(self, conn: BoundedConnection) -> None:
        """Register on the session of `conn`.

        Raises RegistrationRefused if the name is taken or MAX_WORKERS run, DatabaseError without
        tables.
        """
        deadline = time.monotonic() + _RETRY_S
        while (verdict := self._try_register(conn)) != "registered":
            if time.monotonic() > deadline:
                if verdict == "full":
                    raise RegistrationRefused(
                        f"{MAX_WORKERS} workers are already at work, and there is room for no more."
                    )
                raise RegistrationRefused(
                    f"A worker named {self._name!r} is already at work; choose another name."
                )
            time.sleep(0.1)
        log.info(self._text, extra={"action": "worker_registered"})

    def _try_register(self, conn: BoundedConnection) -> str:
        try:
            return worker_storage.register_worker(conn, self._name, self._profile, MAX_WORKERS)
        except psycopg.errors.UndefinedFunction as error:
            raise DatabaseError("the database has no tables yet: run --setup-db") from error

    def heartbeat(self, conn: BoundedConnection) -> None:
        """Record a heartbeat, and log workers that have gone offline."""
        worker_storage.record_heartbeat(conn, self._name)
        for name in worker_storage.expire_workers(conn):
            log_action(
                log.warning, "worker_offline", f"Worker {name} is gone", {"worker_name": name}
            )

    def unregister(self, conn: BoundedConnection) -> None:
        """Unregister the worker."""
        worker_storage.unregister_worker(conn, self._name)
        log.info("Worker disconnected", extra={"action": "worker_disconnected"})
