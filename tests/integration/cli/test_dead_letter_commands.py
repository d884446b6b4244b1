"""`dead-letters list|show|retry|drop` on a real database; there is no broker."""

from __future__ import annotations

import dataclasses
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result

from pizza.cli import dead_letters as module
from pizza.config.settings import Settings
from pizza.database.connection import BoundedConnection, connect

from ...support.waiting import Stopwatch

Run = Callable[..., Result]

HOSTILE = "\x1b[2J\x1b[31mred\u202egnp.exe\n\rsecond line\x07 " + "w" * 10_000
TRACEBACK = "Traceback (most recent call last):\n" + '  File "kitchen.py", line 7\n' * 700
LOCKED = "another transaction is working on this dead message"


@pytest.fixture
def conn(db_url: str) -> Iterator[BoundedConnection]:
    with connect(db_url, name="test") as open_connection:
        yield open_connection


@pytest.fixture
def run(db_url: str) -> Run:
    """Runs a command in this process; fails unless it ends with `code`."""
    group = module.group(dataclasses.replace(Settings(), db_url=db_url))

    def command(*words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(group, words)
        assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
        return result

    return command


def insert(conn: BoundedConnection, number: int = 1, **columns: Any) -> list[str]:
    values = {
        "task": "bake", "queue": "bakery", "body": b'{"loaf": "Caf\xc3\xa9"}', "attempts": 3,
        "runs": 5, "reason": "KeyError: 'flour'", "traceback": TRACEBACK, **columns,
    }  # fmt: skip
    return [
        id
        for (id,) in conn.execute(
            f"""insert into dead_message (id, died_at, {", ".join(values)})
                select gen_random_uuid(), '2026-01-01 12:00:00Z'::timestamptz
                                          + n * interval '1 ms',
                       {", ".join(["%s"] * len(values))}
                from generate_series(1, %s) n returning id::text""",
            [*values.values(), number],
        ).fetchall()
    ]


def test_a_list_has_a_line_for_each(run: Run, conn: BoundedConnection) -> None:
    assert run("list").stdout == "0 dead letters.\n"
    assert json.loads(run("list", "--json").stdout) == []
    first, second = insert(conn, 2)
    assert run("list").stdout == (
        f"{first}  2026-01-01T12:00:00.001Z  bakery  bake  3/5: KeyError: 'flour'\n"
        f"{second}  2026-01-01T12:00:00.002Z  bakery  bake  3/5: KeyError: 'flour'\n"
        "2 dead letters.\n"
    )
    assert run("list", "--limit", "1").stdout.endswith("2 dead letters; the oldest 1 are shown.\n")
    found = json.loads(run("list", "--json").stdout)
    assert [each["id"] for each in found] == [first, second]
    assert found[0]["traceback"] == TRACEBACK[-20_000:]


def test_a_dead_letter_is_shown_with_all_its_fields(run: Run, conn: BoundedConnection) -> None:
    (id,) = insert(conn, headers=json.dumps({"from": "Zoë"}), needs=["oven"], priority=4)
    assert json.loads(run("show", id).stdout) == {
        "id": id, "reason": "KeyError: 'flour'", "task": "bake", "queue": "bakery",
        "died_at": "2026-01-01T12:00:00.001Z", "attempt": 3, "runs": 5, "priority": 4,
        "needs": ["oven"], "body": {"loaf": "Café"}, "size": 17, "headers": {"from": "Zoë"},
        "traceback": TRACEBACK,
    }  # fmt: skip
    missing = "00000000-0000-4000-8000-000000000000"
    for each in (missing, "no-such-id"):
        for verb in ("show", "retry", "drop"):
            answer = run(verb, each, code=1)
            assert answer.stderr == f"pizza: There is no dead letter {each}.\n"


def test_on_a_terminal_one_is_shown_as_text(conn: BoundedConnection, db_url: str) -> None:
    (id,) = insert(conn, reason=HOSTILE, headers=json.dumps({"from": "\x1b[31mZoë"}))
    shown = on_a_terminal(db_url, "show", id)
    for line in ("attempts  3", "runs      5", "queue     bakery", '  "loaf": "Café"'):
        assert line in shown.splitlines()
    assert 'File "kitchen.py", line 7' in shown
    assert "\x1b" not in shown and "\u202e" not in shown and "\x07" not in shown


def on_a_terminal(db_url: str, *words: str) -> str:
    """What a command prints where its output is a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "pizza", "dead-letters", *words],
        env={**os.environ, "DB_URL": db_url},
        stdout=theirs,
    )
    os.close(theirs)
    found = b""
    try:
        while piece := os.read(ours, 65_536):
            found += piece
    except OSError:
        pass  # Linux reports it at the end
    finally:
        os.close(ours)
        assert process.wait(60) == 0
    return found.decode().replace("\r\n", "\n")


def test_text_of_other_programs_stays_on_its_line(run: Run, conn: BoundedConnection) -> None:
    insert(conn, reason=HOSTILE, task=HOSTILE, queue="q\x1b]0;title\x07")
    line, total = run("list").stdout.splitlines()
    assert total == "1 dead letter."
    assert len(line) < 600
    assert line.isprintable()


def test_all_are_retried_except_those_that_cannot_be(run: Run, conn: BoundedConnection) -> None:
    insert(conn, 3)
    (homeless,) = insert(conn, queue="dead_letter_queue")
    answer = run("retry", "--all", code=1)
    assert answer.stdout == "3 dead letters were sent again.\n"
    why = "the dead message does not say from which queue it came"
    assert answer.stderr == f"pizza: {homeless} was not sent again: {why}.\n"
    assert run("retry", homeless, code=1).stdout == "0 dead letters were sent again.\n"
    assert conn.execute("select count(*) from message where task = 'bake'").fetchone() == (3,)
    assert run("drop", homeless).stdout == "1 dead letter was dropped.\n"
    assert run("retry", "--all").stdout == "0 dead letters were sent again.\n"


def test_all_are_dropped_except_locked_ones(run: Run, conn: BoundedConnection, db_url: str) -> None:
    ids = insert(conn, 30)
    with psycopg.connect(db_url) as other:
        other.execute("select from dead_message order by died_at limit 25 for update")
        answer = run("drop", "--all", code=1)
    assert answer.stdout == "5 dead letters were dropped.\n"
    lines = answer.stderr.splitlines()
    assert lines[:-1] == [f"pizza: {id} was not dropped: {LOCKED}." for id in ids[:20]]
    assert lines[-1] == "pizza: 5 more were not dropped."


def test_bad_usage_is_exit_2(run: Run) -> None:
    for verb in ("retry", "drop"):
        for words in ((), ("some-id", "--all")):
            assert "Name one dead letter, or say --all." in run(verb, *words, code=2).stderr
    run("list", "--limit", "0", code=2)


def test_thousands_are_listed_and_sent_again_quickly(run: Run, conn: BoundedConnection) -> None:
    insert(conn, 3_000)
    watch = Stopwatch()
    assert run("list").stdout.endswith("3000 dead letters; the oldest 100 are shown.\n")
    watch.assert_within(1)
    assert len(json.loads(run("list", "--json", "--limit", "10000").stdout)) == 3_000
    watch = Stopwatch()
    assert run("retry", "--all").stdout == "3000 dead letters were sent again.\n"
    watch.assert_within(5)


def test_a_database_that_is_away_or_has_no_tables_is_a_sentence() -> None:
    away = module.group(dataclasses.replace(Settings(), db_url="postgresql://x@127.0.0.1:1/x"))
    for words in (["list"], ["show", "x"], ["retry", "--all"], ["drop", "x"]):
        answer = CliRunner().invoke(away, words)
        assert answer.exit_code == 1
        assert answer.stderr.startswith("pizza: PostgreSQL is not available")
