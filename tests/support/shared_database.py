"""One database for many tests: each finds it as a copy of the template is, and none makes one.

Making and dropping a database costs PostgreSQL a checkpoint and hundreds of files, several times
what most tests do with it.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import psycopg
from psycopg.sql import SQL, Composed, Identifier, Literal

from devservices import Postgres

from .waiting import wait_until

_LARGE = 1_000_000  # bytes of a table from which on it is truncated; below, deleting is quicker

_TABLES = """
select relname from pg_class
where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') order by relname
"""
_STRANGERS = """
select relname from pg_class
where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and relname <> all(%s)
"""
_LARGE_ONES = """
select relname from pg_class
where relnamespace = 'public'::regnamespace and relkind = 'r' and pg_relation_size(oid) > %s
"""
_SEQUENCES = """
select sequencename, coalesce(last_value, start_value), last_value is not null
from pg_sequences where schemaname = 'public'
"""
# Whatever a test could have changed but for rows: it is then thrown away.
_SHAPE = """
select md5(string_agg(line, ' ' order by line)) from (
    select concat_ws(' ', c.relname, c.relkind, a.attname, a.atttypid, a.attnotnull, a.attisdropped)
    from pg_class c left join pg_attribute a on a.attrelid = c.oid
    where c.relnamespace = 'public'::regnamespace and c.relkind <> 'i'
    union all select concat_ws(' ', conname, conrelid) from pg_constraint
    union all select concat_ws(' ', tgname, tgrelid, tgenabled) from pg_trigger
    union all select concat_ws(' ', proname, oidvectortypes(proargtypes), prosrc) from pg_proc
              where pronamespace = 'public'::regnamespace
) as shape (line)
"""
_OTHERS = """
select count(*) from (
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()
) as others
"""


class SharedDatabase:
    """Lends the one database to a test, and restores it on release."""

    def __init__(self, postgres: Postgres, template: str) -> None:
        self._postgres = postgres
        self._template = template
        self._name = ""
        self._tables: list[str] = []
        self._shape = ""
        self._reset = Composed([])

    def acquire(self) -> str:
        """The URL of the database, as good as new."""
        if not self._name:
            self._make()
        return self._postgres.url_of(self._name)

    def release(self) -> None:
        """Put it in order, ending all sessions; or throw it away when that cannot be done."""
        try:
            with self._postgres.connect(self._name) as conn:
                conn.autocommit = True
                done = self._tidy(conn)
        except (psycopg.Error, AssertionError):
            done = False
        if not done:
            self._postgres.drop_database(self._name)
            self._name = ""

    def _make(self) -> None:
        self._name = f"test_{uuid4().hex[:12]}"
        self._postgres.create_database(self._name, template=self._template)
        with self._postgres.connect(self._name) as conn:
            conn.autocommit = True
            self._tables = [name for (name,) in conn.execute(_TABLES)]
            self._reset = self._way_back(conn)
            self._shape = self._shape_of(conn)

    def _tidy(self, conn: psycopg.Connection[Any]) -> bool:
        """Whether it is in order again."""
        wait_until(lambda: conn.execute(_OTHERS).fetchone() == (0,), 10, "all sessions have ended")
        for (name,) in conn.execute(_STRANGERS, [self._tables]).fetchall():
            conn.execute(SQL("drop table {} cascade").format(Identifier(name)))
        if self._shape_of(conn) != self._shape:
            return False
        for (name,) in conn.execute(_LARGE_ONES, [_LARGE]).fetchall():
            conn.execute(SQL("truncate {} cascade").format(Identifier(name)))
        conn.execute(self._reset)
        return True

    def _shape_of(self, conn: psycopg.Connection[Any]) -> str:
        row = conn.execute(_SHAPE).fetchone()
        assert row is not None
        return str(row[0])

    def _way_back(self, conn: psycopg.Connection[Any]) -> Composed:
        """Statements that bring every row and every sequence back to what they are now."""
        conn.execute("create schema shelf")
        steps = [SQL("begin; set local session_replication_role = replica")]
        for table in map(Identifier, self._tables):
            steps.append(SQL("delete from {}").format(table))
            if conn.execute(SQL("select 1 from {} limit 1").format(table)).fetchone():
                conn.execute(SQL("create table shelf.{0} as table {0}").format(table))
                again = SQL("insert into {0} overriding system value select * from shelf.{0}")
                steps.append(again.format(table))
        for name, value, called in conn.execute(_SEQUENCES).fetchall():
            which = Literal(f"public.{name}")
            steps.append(SQL("select setval({}, {}, {})").format(which, value, called))
        steps.append(SQL("commit"))
        return SQL("; ").join(steps)
