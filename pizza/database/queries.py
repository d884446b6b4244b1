"""Named SQL from files: `-- name --` starts a query, the text up to the next one is its body."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from pizza.database.errors import QueryNotFound

_QUERY_NAME = re.compile(r"^-- (\w+) --[ \t]*$", re.MULTILINE)


@cache
def sql_root() -> Traversable:
    """The folder of all SQL files: `sql/` of the checkout, or the installed package `pizza.sql`."""
    checkout = Path(__file__).resolve().parents[2] / "sql"
    return checkout if checkout.is_dir() else resources.files("pizza.sql")


class Queries:
    """The queries of one file as attributes: `Queries("taskqueue/relay").fetch_pending`.

    name: `folder/file`, such as `taskqueue/relay` for `sql/taskqueue/queries/relay.sql`.

    An unknown name raises QueryNotFound, which lists the known ones. Callers bind their queries at
    import, so a wrong name fails at load.
    """

    def __init__(self, name: str) -> None:
        folder, _, file = name.partition("/")
        self._file = f"sql/{folder}/queries/{file}.sql"
        path = sql_root() / folder / "queries" / f"{file}.sql"
        parts = _QUERY_NAME.split(path.read_text("utf-8"))
        self._queries = {
            title: body.strip() for title, body in zip(parts[1::2], parts[2::2], strict=True)
        }

    def __getattr__(self, name: str) -> str:
        try:
            return self._queries[name]
        except KeyError:
            known = ", ".join(sorted(self._queries))
            raise QueryNotFound(f"{self._file} has no query {name!r}; it has {known}") from None
