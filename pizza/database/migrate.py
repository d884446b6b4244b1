"""Bring a database to the schema in `sql/`. Safe to repeat, and to run twice at the same time.

Each `sql/*/migrations/NNNN_name.sql` runs once, in the order of the numbers. Its checksum is
stored, and a file that changed after it ran is an error. `sql/*/functions/*.sql` contain only
`create or replace` and run again when their text changes. Functions are replaced in place, so that
processes of the last release can call them meanwhile.
"""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass
from importlib.resources.abc import Traversable

import psycopg

from pizza.database.connection import BoundedConnection, connect, translate_errors
from pizza.database.errors import MigrationError
from pizza.database.queries import sql_root

# Serializes migrations of one schema: the second finds nothing to do.
_LOCK = """
select pg_advisory_xact_lock(hashtextextended('setup', current_schema()::regnamespace::oid::bigint))
"""
_LOCK_TIMEOUT_S = 120.0
# Shorter than deadlock_timeout, so that no other transaction fails because it waits for this one.
_TABLE_LOCK_TIMEOUT = "200ms"
# Longer than the timeout: a lock that waits for a long transaction blocks all later statements on
# its table, and these get most of the time.
_TABLE_LOCK_PAUSE_S = 0.5
_TABLE_NAME = re.compile(r"(?:^create table|\brename to) (\w+)", re.MULTILINE)
_EXISTING_TABLES = """
select string_agg(relname, ', ' order by relname) from pg_class
where relname = any(%s) and relkind = 'r' and relnamespace = current_schema()::regnamespace
"""
_FUNCTION_NAME = re.compile(r"^create or replace function (\w+)", re.MULTILINE)
_EXISTING_FUNCTIONS = """
select oid, ctid::text, format('drop function %%s', oid::regprocedure) from pg_proc
where proname = any(%s) and pronamespace = current_schema()::regnamespace
"""
_NUMBERED = re.compile(r"^\d{4}_\w+\.sql$")
# Former names of function files. Their rows stay, because processes of 0.2 look for them.
RETIRED = frozenset(
    f"functions/{name}.sql" for name in ("framework", "line", "order_keys", "tally", "withdrawal")
)

_SCHEMA_HISTORY = """
create table if not exists schema_migration (
    name        text        primary key,
    checksum    text        not null,
    applied_at  timestamptz not null default now()
)
"""
_RECORD_SCRIPT = """
insert into schema_migration (name, checksum) values (%s, %s)
on conflict (name) do update set checksum = excluded.checksum, applied_at = now()
"""


@dataclass(frozen=True, slots=True)
class Script:
    """One SQL file. name: in schema_migration. repeatable: it runs again when its text changes."""

    name: str
    text: str
    repeatable: bool

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hexadecimal digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def scripts() -> list[Script]:
    """All files in the order in which they run: migrations by number, then functions.

    Raises MigrationError for a migration without a number.
    """
    migrations, functions = _files("migrations"), _files("functions")
    for file in migrations:
        if not _NUMBERED.match(file.name):
            raise MigrationError(f"the migration {file.name} is not named NNNN_name.sql")
    return [Script(f.name, f.read_text("utf-8"), False) for f in migrations] + [
        Script(f"functions/{f.name}", f.read_text("utf-8"), True) for f in functions
    ]


def _files(kind: str) -> list[Traversable]:
    """The files of both folders of `sql/`, sorted by name. kind: migrations or functions."""
    found = [
        file
        for folder in ("taskqueue", "restaurant")
        for file in (sql_root() / folder / kind).iterdir()
        if file.name.endswith(".sql")
    ]
    return sorted(found, key=lambda file: file.name)


def migrate(db_url: str) -> list[str]:
    """Apply what is missing in one transaction; returns the names of the files applied.

    Raises DatabaseUnavailable, or MigrationError when a file that ran was changed, the database is
    newer than this program, the search path has no schema, or a statement failed. Then nothing is
    applied.
    """
    with (
        connect(db_url, name="pizza migrate") as conn,
        translate_errors(),
        conn.timeout_scope(_LOCK_TIMEOUT_S),
        conn.transaction(),
    ):
        _check_schema(conn)
        conn.execute(_LOCK)
        conn.execute("set local client_min_messages = warning")
        # A function may call one of a later file.
        conn.execute("set local check_function_bodies = off")
        conn.execute(_SCHEMA_HISTORY)
        return _apply(conn)


def _check_schema(conn: BoundedConnection) -> None:
    """Raise MigrationError when the search path has no schema for the tables."""
    row = conn.execute("select current_schema(), current_setting('search_path')").fetchone()
    assert row is not None
    if row[0] is None:
        raise MigrationError(
            f"no schema of the search_path ({row[1]}) exists, or its use is not granted; "
            "run `create schema`, or correct the search_path"
        )


def _apply(conn: BoundedConnection) -> list[str]:
    applied = dict(conn.execute("select name, checksum from schema_migration").fetchall())
    wanted = scripts()
    unknown = sorted(set(applied) - RETIRED - {script.name for script in wanted})
    if unknown:
        raise MigrationError(
            f"the database has {', '.join(unknown)}, which this version does not know; "
            "run the version that made it"
        )
    if any(not script.repeatable and script.name not in applied for script in wanted):
        _lock_tables(conn, wanted)
    done = []
    for script in wanted:
        if applied.get(script.name) == script.checksum:
            continue
        if script.name in applied and not script.repeatable:
            raise MigrationError(f"{script.name} was changed after it ran; add a new file instead")
        try:
            if script.repeatable:
                _replace(conn, script)
            else:
                conn.execute(script.text.encode())
        except psycopg.DatabaseError as error:
            raise MigrationError(f"{script.name} failed: {error}") from error
        conn.execute(_RECORD_SCRIPT, (script.name, script.checksum))
        done.append(script.name)
    return done


def _lock_tables(conn: BoundedConnection, wanted: list[Script]) -> None:
    """Lock all tables at once, or none: a migration that waits for one must hold no other.

    Raises DatabaseTransientError if that does not succeed within _LOCK_TIMEOUT_S.
    """
    names = [name for script in wanted for name in _TABLE_NAME.findall(script.text)]
    (tables,) = conn.execute(_EXISTING_TABLES, (names,)).fetchall()[0]
    until = time.monotonic() + _LOCK_TIMEOUT_S
    while tables:
        try:
            with conn.transaction():
                conn.execute(f"set local lock_timeout = '{_TABLE_LOCK_TIMEOUT}'")
                conn.execute(f"lock table {tables} in access exclusive mode".encode())
                conn.execute("set local lock_timeout = 0")
                return
        except psycopg.errors.LockNotAvailable:
            if time.monotonic() > until:
                raise
            time.sleep(_TABLE_LOCK_PAUSE_S)


def _replace(conn: BoundedConnection, script: Script) -> None:
    """Run a script of functions, and drop their old versions.

    A function with other parameter types is created next to its old version, which is dropped
    afterwards. The server refuses other columns or parameter names: then all functions of the
    script are dropped and created again.
    """
    names = _FUNCTION_NAME.findall(script.text)
    existing = conn.execute(_EXISTING_FUNCTIONS, (names,)).fetchall()
    try:
        with conn.transaction():
            conn.execute(script.text.encode())
    except psycopg.errors.InvalidFunctionDefinition:
        for _, _, drop in existing:
            conn.execute(drop)
        conn.execute(script.text.encode())
        return
    # The row of a function that was replaced has another ctid.
    for _, _, drop in set(existing).intersection(conn.execute(_EXISTING_FUNCTIONS, (names,))):
        conn.execute(drop)
