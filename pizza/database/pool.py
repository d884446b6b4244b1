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
    """A fixed number of autocommit connections; absent servers are waited for in the background.

    A connection that the server, a pooler or a firewall has ended while it was idle is replaced
    before it is lent.
    """

    def __init__(self, db_url: str, *, size: int, name: str, pooled: bool = False) -> None:
        """pooled: whether the address is that of a pooler, which may be in transaction mode."""
        given = parameters(db_url, name)
        self._pool = psycopg_pool.ConnectionPool(
            db_url,
            connection_class=BoundedConnection,
            # Behind a pooler the next statement may find another backend, or a prepared statement
            # of another client.
            kwargs=given | {"prepare_threshold": None} if pooled else given,
            configure=configure_pooled if pooled else partial(configure, db_url=db_url),
            min_size=size,
            max_size=size,
            open=False,
            name=name,
            timeout=1.0,
            # The pool's back-off doubles without a bound, so let each round end early:
            # the next request for a connection begins a new one.
            reconnect_timeout=4,
            num_workers=2,
        )
        self._checking = threading.Lock()

    def open(self) -> None:
        """Start to fill the pool in the background."""
        self._pool.open(wait=False)

    @contextmanager
    def connection(self, timeout: float = 1.0) -> Generator[BoundedConnection, None, None]:
        """Lend a connection for the block.

        timeout: seconds, for the wait for a free connection and all answers together.
        Raises DatabaseUnavailable when the server is absent, hung or restarting, or when
        no connection came free in time, DatabaseTransientError when it cannot do this now.
        """
        until = time.monotonic() + timeout
        conn = self._open_connection(until)
        conn.statement_timeout, conn.deadline = timeout, until
        try:
            with translate_errors():
                yield conn
        except DatabaseTransientError:
            raise
        except DatabaseUnavailable:
            conn.close()
            self._drop_the_dead()
            raise
        finally:
            conn.deadline = None
            self._pool.putconn(conn)

    def _open_connection(self, until: float) -> BoundedConnection:
        """A connection that is open; those that were ended while idle are replaced, unseen."""
        while True:
            try:
                conn: BoundedConnection = self._pool.getconn(max(0.001, until - time.monotonic()))
            except psycopg_pool.PoolTimeout as error:
                raise DatabaseUnavailable("no database connection came free in time") from error
            if conn.is_open():
                return conn
            conn.close()
            self._pool.putconn(conn)  # which has a new one made

    def _drop_the_dead(self) -> None:
        """One lost connection often means that all are: look at the idle ones, once."""
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
        """Close all connections; those lent out close when they come back."""
        self._pool.close(timeout=2.0)


def open_pool(db_url: str, *, size: int, name: str, pooled: bool = False) -> Pool:
    """Open a pool of `size` connections; never raises because the server is absent.

    pooled: whether the address is that of a pooler, which may be in transaction mode.
    """
    pool = Pool(db_url, size=size, name=name, pooled=pooled)
    pool.open()
    return pool
