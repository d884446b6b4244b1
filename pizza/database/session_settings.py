"""The settings of each session, whatever the defaults of server, database or role are.

One statement on each new connection applies them and reads facts about the server. Startup
parameters would need no statement, but poolers refuse them. The search path and
`default_transaction_read_only` are not changed: operators set them on purpose.
"""

from __future__ import annotations

from collections import ChainMap
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from pizza.database.errors import DatabaseUnsupported

OLDEST_VERSION = 13
ENCODING = "UTF8"

# Poolers in transaction mode track these, and apply them to each backend that a client uses.
_REPORTED = {
    "client_encoding": "UTF8",
    "DateStyle": "ISO, MDY",
    "TimeZone": "UTC",
    "standard_conforming_strings": "on",
}
# Other values would change the meaning of statements, or the format of results.
_MEANING = {
    "IntervalStyle": "postgres",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "exit_on_error": "off",
    "row_security": "on",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
}
# The server's timeouts are off: each of our waits has its own, and the server's would end
# statements that only wait for a lock. With keepalives the server detects a lost client.
_OTHERS = {
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "plan_cache_mode": "force_generic_plan",
}
_SINCE = {
    140000: {"idle_session_timeout": "0", "client_connection_check_interval": "2s"},
    170000: {"transaction_timeout": "0"},
}

_MAX_TRIES = 5
# As an integer: no setting changes its format.
_FACTS = """
select (extract(epoch from clock_timestamp()) * 1000000)::bigint, pg_backend_pid(),
       current_setting('server_encoding')
"""
_OTHER_DEFAULTS = """
select w.name, s.reset_val, w.value
from unnest(%s::text[], %s::text[]) as w (name, value)
join pg_settings s on lower(s.name) = lower(w.name)
where s.reset_val <> w.value
order by w.name
"""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """Facts about the server of a new connection.

    clock_offset: how far its clock is ahead of ours. backend: id of the process of the session.
    """

    clock_offset: timedelta
    backend: int


def session_settings(server_version: int) -> dict[str, str]:
    """The settings of a session. server_version: as libpq reports it, such as 150004."""
    newer = [names for since, names in _SINCE.items() if server_version >= since]
    return dict(ChainMap(*newer, _OTHERS, _MEANING, _REPORTED))


def apply(conn: psycopg.Connection[Any]) -> ServerFacts:
    """Apply the settings to a new session; returns facts about the server.

    Takes one round trip, or a few when the server's statement_timeout is very short. Raises
    DatabaseUnsupported for a server that cannot serve this program.
    """
    settings = session_settings(conn.info.server_version)
    for _ in range(_MAX_TRIES):
        # The server's timeout also limits the statement that turns it off.
        try:
            return _run(conn, settings)
        except psycopg.errors.QueryCanceled:
            with suppress(psycopg.errors.QueryCanceled):
                conn.execute("set statement_timeout = 0")
    return _run(conn, settings)


def apply_reported(conn: psycopg.Connection[Any]) -> ServerFacts:
    """As `apply`, behind a pooler in transaction mode: only the settings that such poolers keep.

    Raises DatabaseUnsupported when another setting has a default that we cannot work with, or the
    server cannot serve this program.
    """
    facts = _run(conn, _REPORTED)
    values = [list(_MEANING), list(_MEANING.values())]
    wrong = conn.execute(_OTHER_DEFAULTS, values).fetchall()
    for name, found, value in wrong:
        raise DatabaseUnsupported(
            f"Behind a pooler in transaction mode the server's defaults count, and {name} is "
            f"{found!r}: run `alter role … set {name} = '{value}'` for the role of this address, "
            "then `reconnect` in the pooler"
        )
    return facts


def _run(conn: psycopg.Connection[Any], settings: dict[str, str]) -> ServerFacts:
    version = conn.info.server_version
    if version < OLDEST_VERSION * 10_000:
        raise DatabaseUnsupported(
            f"PostgreSQL {version // 10_000} is not supported: "
            f"this program needs PostgreSQL {OLDEST_VERSION} or newer"
        )
    calls = "".join(f", set_config('{name}', '{value}', false)" for name, value in settings.items())
    row = conn.execute((_FACTS + calls).encode()).fetchone()
    assert row is not None
    clock, backend, encoding = row[:3]
    if encoding != ENCODING:
        raise DatabaseUnsupported(
            f"The database has the encoding {encoding}, which cannot hold every name: make one "
            f"with `create database … encoding '{ENCODING}' template template0`"
        )
    server_time = datetime.fromtimestamp(clock / 1_000_000, UTC)
    return ServerFacts(server_time - datetime.now(UTC), backend)
