"""The modules that docs/upgrade-0.3.md names as new ones exist."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "upgrade-0.3.md"
_TABLE = re.compile(r"^\| `pizza\.[\w.]*` \| `(pizza\.[\w.]*)` \|\n.*\n((?:\|.*\n)+)", re.MULTILINE)
TABLES = _TABLE.findall(PAGE.read_text())


@pytest.mark.parametrize(("prefix", "rows"), TABLES, ids=[prefix for prefix, _ in TABLES])
def test_each_new_module_exists(prefix: str, rows: str) -> None:
    names = [
        name
        for row in rows.splitlines()
        for name in re.findall(r"`([a-z][\w.]*)`", row[3:].partition("|")[2])
    ]
    assert names
    assert [name for name in names if find_spec(prefix + name) is None] == []


def test_there_are_tables_of_the_framework_the_restaurant_and_the_web_application() -> None:
    assert len(TABLES) == 3
