"""Advisory locks: every key comes from lock_key, and every name is in the registry."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pizza
from pizza.database.queries import sql_root

REGISTRY = "taskqueue/functions/locks.sql"
# Before there is a table, lock_key cannot be called.
SETUP = "database/migrate.py"
# The key that workers of version 0.2.0 hold. It is looked for, and never held.
FORMER = "worker_former_key("
# The ids of workers' sessions are keys themselves.
SESSIONS = ("%(key)s", "p_worker_id", "p_holder", "p_key")
# The lock of version 0.2.0's relays, which stand by while it is held.
LEAD_BEFORE = "7020001"
_LOCK = re.compile(r"\bpg_(?:try_)?advisory_(?:xact_)?(?:un)?lock(?:_shared)?\s*\(\s*")
_NAMED = re.compile(r"lock_key\('([^']+)'")
_FUNCTION = re.compile(
    r"^create or replace function (\w+)\([^)]*\) returns bigint\n"
    r"language sql immutable as \$\$ select lock_key\(",
    re.MULTILINE,
)
_ENTRY = re.compile(r"^--   ([a-z][a-z ]*?)(?: [A-Z]+)? +(?:session|transaction) ", re.MULTILINE)


def sources() -> Iterator[tuple[str, str]]:
    """Name and text of all SQL but migrations, and of all modules."""
    root = sql_root()
    for folder, kind in product(("taskqueue", "restaurant"), ("functions", "queries")):
        for file in (root / folder / kind).iterdir():
            if file.name.endswith(".sql"):
                yield f"{folder}/{kind}/{file.name}", file.read_text("utf-8")
    package = Path(pizza.__file__).parent
    for module in package.rglob("*.py"):
        yield module.relative_to(package).as_posix(), module.read_text("utf-8")


def mine() -> dict[str, str]:
    return {name: text for name, text in sources() if name != SETUP}


def registered() -> list[str]:
    return _ENTRY.findall(dict(sources())[REGISTRY])


def test_no_lock_has_a_number() -> None:
    assert [name for name, text in mine().items() if re.search(r"\b70200\d\d\b", text)] == [
        "taskqueue/queries/relay.sql"
    ]


def test_every_lock_is_taken_by_a_key_of_this_installation() -> None:
    texts = mine()
    keys = [f"{name}(" for text in texts.values() for name in _FUNCTION.findall(text)]
    allowed = ("lock_key('", FORMER, *SESSIONS, LEAD_BEFORE, *keys)
    assert "worker_key(" in keys
    foreign = [
        (name, text[call.start() :].splitlines()[0])
        for name, text in texts.items()
        for call in _LOCK.finditer(text)
        if not text.startswith(allowed, call.end())
    ]
    assert foreign == []


def test_every_name_of_a_lock_is_in_the_registry_and_in_use() -> None:
    used = {name.rstrip() for text in mine().values() for name in _NAMED.findall(text)}
    names = registered()
    assert len(names) == len(set(names))
    assert used == set(names)
