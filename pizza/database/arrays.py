"""Arrays in PostgreSQL's notation. psycopg visits each element three times in Python."""

from __future__ import annotations

from collections.abc import Iterable


def text_array(values: Iterable[str]) -> str:
    """A `text[]` literal of texts without NUL."""
    return f"{{{','.join(map(_quoted, values))}}}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
