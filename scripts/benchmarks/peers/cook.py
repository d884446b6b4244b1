"""What a cook does on a peer's task queue: two statements, each a transaction, both prepared."""

import os
from functools import cache

import psycopg

from pizza.database import session_settings
from pizza.database.connection import Connection, parameters

_REGISTER = """
insert into workers (name, type) values (%s, 'cook') on conflict (name) do nothing
"""


@cache
def _cook() -> tuple[Connection, str]:
    """This process's connection, with the session settings of our own cooks, and its name."""
    name, url = f"peer_{os.getpid()}", os.environ["DB_URL"]
    conn = psycopg.connect(url, prepare_threshold=1, **parameters(url, name))
    session_settings.apply(conn)
    conn.execute(_REGISTER, (name,))
    return conn, name


def cook(number: str) -> None:
    """received → cooking → ready; connects and registers with the process's first order."""
    conn, name = _cook()
    conn.execute("select bench_start(%s, %s)", (number, name))
    conn.execute("select bench_finish(%s, %s)", (number, name))
