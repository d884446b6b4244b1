"""What a cook does on a peer's task queue: two statements, each a transaction, both prepared."""

import os

import psycopg

from pizza.database import session_settings
from pizza.database.connection import parameters

_REGISTER = """
insert into workers (name, type) values (%s, 'cook') on conflict (name) do nothing
"""


class PeerCook:
    """A connection with a name, opened in the process that cooks."""

    def __init__(self) -> None:
        """Connect, with the session settings of our own cooks, and register."""
        self.name = f"peer_{os.getpid()}"
        self.conn = psycopg.connect(
            os.environ["DB_URL"], prepare_threshold=1, **parameters(os.environ["DB_URL"], self.name)
        )
        session_settings.apply(self.conn)
        self.conn.execute(_REGISTER, (self.name,))

    def cook(self, number: str) -> None:
        """received → cooking → ready."""
        self.conn.execute("select bench_start(%s, %s)", (number, self.name))
        self.conn.execute("select bench_finish(%s, %s)", (number, self.name))
