"""Coming to work: unique names, at most ten at a time, a sign of life every 30 seconds."""

from __future__ import annotations

import logging
import time
from typing import Any

import psycopg

from pizza.database.connection import BoundedConnection
from pizza.database.errors import DatabaseError
from pizza.domain.errors import TooManyWorkers, WorkerNameTaken
from pizza.kitchen import worker_storage
from pizza.kitchen.worker_storage import Post, WorkerStatus
from pizza.taskqueue.errors import RegistrationRefused

log = logging.getLogger(__name__)

MAX_WORKERS = 10
# The session of a worker that was just killed ends within moments; who wants its name or its
# place waits for that.
_PATIENCE_S = 2.0


class Shift:
    """The restaurant's registration of one worker; see WorkerRegistry."""

    def __init__(self, name: str, post: Post, announcement: str) -> None:
        self._name = name
        self._post = post
        self._announcement = announcement

    def register(self, conn: BoundedConnection) -> None:
        """Register. Raises RegistrationRefused when the name is taken or the kitchen is full.

        Raises DatabaseError while there are no tables.
        """
        until = time.monotonic() + _PATIENCE_S
        while (verdict := self._knock(conn)) != "welcome":
            if time.monotonic() > until:
                full = verdict == "full"
                no = TooManyWorkers(MAX_WORKERS) if full else WorkerNameTaken(self._name)
                raise RegistrationRefused(str(no))
            time.sleep(0.1)
        log.info(self._announcement, extra={"action": "worker_registered"})

    def _knock(self, conn: BoundedConnection) -> str:
        try:
            return worker_storage.enter(conn, self._name, self._post, MAX_WORKERS)
        except psycopg.errors.UndefinedFunction as error:
            raise DatabaseError("the database has no tables yet: run --setup-db") from error

    def heartbeat(self, conn: BoundedConnection) -> None:
        """Say that it is alive, and report those who are not."""
        worker_storage.beat(conn, self._name)
        for name in worker_storage.mark_the_dead(conn):
            log.warning(
                "Worker %s is gone", name,
                extra={"action": "worker_offline", "details": {"worker_name": name}},
            )  # fmt: skip

    def unregister(self, conn: BoundedConnection) -> None:
        """Go home."""
        worker_storage.leave(conn, self._name)
        log.info("Worker disconnected", extra={"action": "worker_disconnected"})


def workers_status(conn: psycopg.Connection[Any], *, name: str | None = None) -> list[WorkerStatus]:
    """All workers, by name; or the one of this name, letter for letter."""
    found = worker_storage.status(conn)
    return found if name is None else [each for each in found if each.name == name]
