"""A pool of bounded connections for request threads."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial

import psycopg_pool

from pizza.database.connection import (
    BoundedConnection,
    configure,
    configure_pooled,
    is_unavailable,
    parameters,
    translate_errors,
)
from pizza.database.errors import DatabaseTransientError, DatabaseUnavailable

log = logging.getLogger(__name__)


class Pool:
    """A fixed number of autocommit connections, opened in the background. For any thread.

    A connection that was closed while idle, by the server, a pooler or a firewall, is replaced
    before it is lent.
    """

    def __init__(self, db_url: str, *, size: int, name: str, pooled: bool = False) -> None:
        """Does not wait for the server, nor raise without it.

        size: how many connections. pooled: whether the address is a pooler's, which may be in
        transaction mode.
        """
        self._pool = psycopg_pool.ConnectionPool(
            db_url,
            connection_class=BoundedConnection,
            kwargs=parameters(db_url, name, pooled=pooled),
            configure=configure_pooled if pooled else partial(configure, db_url=db_url),
            min_size=size,
            max_size=size,
            open=False,
            name=name,
            timeout=1.0,
            # The pool's backoff doubles without limit, so each round ends early: the next request
            # for a connection starts a new one.
            reconnect_timeout=4,
            num_workers=2,
        )
        self._checking = threading.Lock()
        self._pool.open(wait=False)

    @contextmanager
    def connection(self, timeout: float = 1.0) -> Generator[BoundedConnection, None, None]:
        """Lend a connection for the block.

        timeout: seconds for the wait for a free connection and all statements together.
        Raises DatabaseUnavailable when the server is absent, hung or restarting, or no connection
        came free in time; DatabaseTransientError when a statement failed for now.
        """
        deadline = time.monotonic() + timeout
        conn = self._open_connection(deadline)
        conn.statement_timeout, conn.deadline = timeout, deadline
        try:
            with translate_errors():
                yield conn
        except DatabaseTransientError:
            raise
        except DatabaseUnavailable:
            conn.close()
            self._evict_broken()
            raise
        finally:
            conn.deadline = None
            self._pool.putconn(conn)

    def _open_connection(self, deadline: float) -> BoundedConnection:
        """Get an open connection; those closed while idle are replaced."""
        while True:
            try:
                remaining = max(0.001, deadline - time.monotonic())
                conn: BoundedConnection = self._pool.getconn(remaining)
            except psycopg_pool.PoolTimeout as error:
                raise DatabaseUnavailable("no database connection came free in time") from error
            if conn.is_open():
                return conn
            conn.close()
            self._pool.putconn(conn)  # it opens a new one

    def _evict_broken(self) -> None:
        """Check the idle connections in a thread: one lost connection often means that all are."""
        if self._checking.acquire(blocking=False):
            threading.Thread(target=self._check, name="pool-check", daemon=True).start()

    def _check(self) -> None:
        try:
            self._pool.check()
        except Exception as error:
            if not is_unavailable(error):
                log.warning("checking idle connections failed", exc_info=error)
        finally:
            self._checking.release()

    def close(self) -> None:
        """Close all connections; lent ones close when they are returned."""
        self._pool.close(timeout=2.0)
