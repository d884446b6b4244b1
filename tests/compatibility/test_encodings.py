"""Encodings: of the database, and of the terminal that a command prints to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from devservices import Servers
from pizza.database.connection import connect
from pizza.database.errors import DatabaseUnsupported
from pizza.menu import storage as menu

from .conftest import MakeDatabase, restaurant_on

FLASK = Path(sys.executable).with_name("flask")
SENTENCE = (
    "The database has the encoding {}, which cannot hold every name: make one with "
    "`create database … encoding 'UTF8' template template0`."
)
DISH = "Żurek é 🍕"


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_hold_every_name_is_refused(
    servers: Servers, new_database: MakeDatabase, tmp_path: Path, encoding: str
) -> None:
    url = new_database(options=f"encoding '{encoding}' locale 'C'")
    with restaurant_on(servers, tmp_path, url) as restaurant:
        restaurant.start("setup", "--setup-db").refused(SENTENCE.format(encoding))
        cook = restaurant.start("cook", "--mode=kitchen-worker", "--worker-name=mario")
        cook.refused(SENTENCE.format(encoding))
    done = command(url, tmp_path, "orders", "list")
    assert (done.returncode, done.stdout) == (2, b"")
    assert SENTENCE.format(encoding) in done.stderr.decode()
    with pytest.raises(DatabaseUnsupported, match=encoding):
        connect(url, name="test")
    with psycopg.connect(url) as conn:
        tables = conn.execute("select count(*) from pg_tables where schemaname = 'public'")
        assert tables.fetchone() == (0,)


def command(
    db_url: str, folder: Path, *words: str, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    """`flask --app pizza …`, and the bytes that it prints."""
    environ = {"DB_URL": db_url, "PATH": os.environ["PATH"], **variables}
    command = [FLASK, "--app", "pizza", *words]
    return subprocess.run(
        command, capture_output=True, cwd=folder, env=environ, check=False, timeout=120
    )


@pytest.fixture
def database_with_dish(db_url: str) -> str:
    """A database with a dish whose name no 8-bit encoding has."""
    with connect(db_url, name="test") as conn:
        menu.upsert_dish(conn, DISH, "soup", None)
    return db_url


@pytest.mark.parametrize("encoding", ["iso-8859-1", "ascii"])
def test_a_command_prints_characters_that_the_encoding_lacks_as_escapes(
    database_with_dish: str, tmp_path: Path, encoding: str
) -> None:
    plain = command(database_with_dish, tmp_path, "menu", "list", PYTHONIOENCODING=encoding)
    assert (plain.returncode, plain.stderr) == (0, b"")
    shown = DISH.encode("iso-8859-1", "backslashreplace")
    assert (DISH.encode() in plain.stdout) or (encoding == "iso-8859-1" and shown in plain.stdout)

    machine = command(
        database_with_dish, tmp_path, "menu", "list", "--json", PYTHONIOENCODING=encoding
    )
    assert (machine.returncode, machine.stderr) == (0, b"")
    assert DISH in [dish["name"] for dish in json.loads(machine.stdout)]
    assert machine.stdout.isascii()


def test_a_command_never_dies_silently(database_with_dish: str, tmp_path: Path) -> None:
    """Its table is not as the command expects it: nothing in the code foresees that."""
    with psycopg.connect(database_with_dish) as conn:
        conn.execute("alter table menu rename column tag to label")
    done = command(database_with_dish, tmp_path, "menu", "list")
    assert (done.returncode, done.stdout) == (1, b"")
    first, second = done.stderr.decode().splitlines()
    assert first.startswith("pizza: unexpected error: UndefinedColumn: ")
    assert second == "pizza: LOG_LEVEL=DEBUG shows where."

    done = command(database_with_dish, tmp_path, "menu", "list", LOG_LEVEL="DEBUG")
    assert done.returncode == 1
    said = done.stderr.decode()
    assert said.startswith("pizza: unexpected error: UndefinedColumn: ")
    assert "Traceback (most recent call last)" in said
    assert "LOG_LEVEL" not in said


def test_set_up_never_dies_silently(db_url: str, tmp_path: Path, servers: Servers) -> None:
    with psycopg.connect(db_url) as conn:
        conn.execute("alter table schema_migration rename column checksum to digest")
    for flags, where in (([], False), (["--log-level=DEBUG"], True)):
        program = [Path(sys.executable).with_name("restaurant-system"), "--setup-db", *flags]
        done = subprocess.run(
            [*program, "--log-file=log"], capture_output=True, cwd=tmp_path,
            env={"DB_URL": db_url}, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("restaurant-system: unexpected error: UndefinedColumn: ")
        assert ("Traceback" in done.stderr) is where
    lines = (tmp_path / "log").read_text().splitlines()
    assert [json.loads(line)["action"] for line in lines] == ["crash", "crash"]
