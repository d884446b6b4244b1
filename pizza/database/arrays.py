"""Arrays as PostgreSQL reads them: psycopg's way looks at each element in Python, three times."""

from __future__ import annotations

from collections.abc import Iterable


def text_array(values: Iterable[str]) -> str:
    """A parameter for `text[]`, in PostgreSQL's own notation; of any text without NUL."""
    return f"{{{','.join(map(_quoted, values))}}}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
