"""Bring a database to the schema in `sql/`, safely twice and by two at the same time.

`sql/*/migrations/NNNN_name.sql` run once each, by their numbers; their checksums are stored, and a
file that changed after it ran is an error. `sql/*/functions/*.sql` contain only
`create or replace` and run again whenever their text changes. Functions are replaced in their
place, so that programs of the last release can call them meanwhile.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.resources.abc import Traversable

import psycopg

from pizza.database.connection import BoundedConnection, connect, translate_errors
from pizza.database.errors import MigrationError
from pizza.database.queries import sql_root

# Two migrators of one schema queue here: the second finds the work done.
_LOCK = """
select pg_advisory_xact_lock(hashtextextended('setup', current_schema()::regnamespace::oid::bigint))
"""
_WAIT_FOR_OTHERS_S = 120.0
_FUNCTION = re.compile(r"^create or replace function (\w+)", re.MULTILINE)
_FORMER = """
select oid, proname, format('drop function %%s', oid::regprocedure) from pg_proc
where proname = any(%s) and pronamespace = current_schema()::regnamespace
"""
_NUMBERED = re.compile(r"^\d{4}_\w+\.sql$")
# Files of functions that have another name now. Their rows stay, as programs of 0.2 look for them.
RETIRED = frozenset(
    f"functions/{name}.sql" for name in ("framework", "line", "order_keys", "tally", "withdrawal")
)

_LEDGER = """
create table if not exists schema_migration (
    name        text        primary key,
    checksum    text        not null,
    applied_at  timestamptz not null default now()
)
"""
_RECORD = """
insert into schema_migration (name, checksum) values (%s, %s)
on conflict (name) do update set checksum = excluded.checksum, applied_at = now()
"""


@dataclass(frozen=True, slots=True)
class Script:
    """One SQL file: its name in the ledger, its text, whether it runs again when changed."""

    name: str
    text: str
    repeatable: bool

    @property
    def checksum(self) -> str:
        """What the ledger compares: SHA-256 of the text."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def scripts() -> list[Script]:
    """All files in the order in which they run: migrations by number, then functions."""
    migrations, functions = _files("migrations"), _files("functions")
    for file in migrations:
        if not _NUMBERED.match(file.name):
            raise MigrationError(f"the migration {file.name} is not named NNNN_name.sql")
    return [Script(f.name, f.read_text("utf-8"), False) for f in migrations] + [
        Script(f"functions/{f.name}", f.read_text("utf-8"), True) for f in functions
    ]


def _files(kind: str) -> list[Traversable]:
    """The files of both folders of `sql/`, by their names."""
    found = [
        file
        for folder in ("taskqueue", "restaurant")
        for file in (sql_root() / folder / kind).iterdir()
        if file.name.endswith(".sql")
    ]
    return sorted(found, key=lambda file: file.name)


def migrate(db_url: str) -> list[str]:
    """Apply what is missing, all in one transaction, and return the names applied.

    Raises DatabaseUnavailable, or MigrationError when a file that ran was changed, the
    database is newer than this program, there is no schema in the search path, or a statement
    failed (then nothing is applied).
    """
    with (
        connect(db_url, name="pizza migrate") as conn,
        translate_errors(),
        conn.timeout_scope(_WAIT_FOR_OTHERS_S),
        conn.transaction(),
    ):
        _check_schema(conn)
        conn.execute(_LOCK)
        conn.execute("set local client_min_messages = warning")
        # Functions may call each other, whatever the order of their files.
        conn.execute("set local check_function_bodies = off")
        conn.execute(_LEDGER)
        return _apply(conn)


def _check_schema(conn: BoundedConnection) -> None:
    """Raise MigrationError when there is no schema to create tables in."""
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
        conn.execute(_RECORD, (script.name, script.checksum))
        done.append(script.name)
    return done


def _replace(conn: BoundedConnection, script: Script) -> None:
    """Run a script of functions, and leave none of their former shapes.

    One with other parameters is made beside its former self, which goes then. Other columns, or
    other names of parameters, are refused by the server: all of the script is dropped then, and
    made anew.
    """
    names = _FUNCTION.findall(script.text)
    former = conn.execute(_FORMER, (names,)).fetchall()
    try:
        with conn.transaction():
            conn.execute(script.text.encode())
    except psycopg.errors.InvalidFunctionDefinition:
        for _, _, drop in former:
            conn.execute(drop)
        conn.execute(script.text.encode())
        return
    known = {oid for oid, _, _ in former}
    remade = {name for oid, name, _ in conn.execute(_FORMER, (names,)) if oid not in known}
    for _, name, drop in former:
        if name in remade:
            conn.execute(drop)
