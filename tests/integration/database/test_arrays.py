"""Arrays in PostgreSQL's notation, as the server reads them."""

from __future__ import annotations

import pytest

from pizza.database.arrays import text_array
from pizza.database.connection import connect


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("kitchen_queue",),
        ("",),
        ("null", "NULL"),
        ('with "quotes"', "back\\slash", "\\", '"', '\\"'),
        ("a,b", "{c}", " spaced ", "two\nlines\tand a tab", "’ ö 🍕"),
    ],
)
def test_an_array_arrives_as_it_was_sent(values: tuple[str, ...], db_url: str) -> None:
    with connect(db_url, name="arrays") as conn:
        found = conn.execute("select %(it)s::text[]", {"it": text_array(values)}).fetchone()
    assert found == (list(values),)
