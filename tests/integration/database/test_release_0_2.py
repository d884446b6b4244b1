"""Processes of release 0.2 work on a database that was migrated meanwhile."""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.pq import ExecStatus

from devservices import Postgres
from pizza.database import migrate as module
from pizza.database.migrate import Script, migrate

RELEASE = "466c220"  # the commit of 0.2.0
_QUERY_NAME = re.compile(r"^-- (\w+) --[ \t]*$", re.MULTILINE)
_PARAMETER = re.compile(r"%\((\w+)\)s")

# The names and types of a statement's columns and the types of its parameters; or its error.
Shape = list[tuple[str, str]] | str


@pytest.fixture(scope="module")
def files() -> dict[str, str]:
    """The SQL files of 0.2.0 by path. Skips where git does not have the commit."""
    root = Path(__file__).parents[3]
    command = ["git", "archive", RELEASE, "sql"]
    archive = subprocess.run(command, cwd=root, capture_output=True, check=False).stdout
    if not archive:
        pytest.skip("this checkout has no history")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        found = {member.name: tar.extractfile(member) for member in tar.getmembers()}
        return {name: file.read().decode() for name, file in found.items() if file is not None}


def scripts(files: dict[str, str]) -> list[Script]:
    """The migrations and functions of 0.2.0, in their order."""
    migrations, functions = (
        [(path, text) for path, text in sorted(files.items()) if f"/{kind}/" in path]
        for kind in ("migrations", "functions")
    )
    return [Script(Path(path).name, text, False) for path, text in migrations] + [
        Script(path.removeprefix("sql/"), text, True) for path, text in functions
    ]


def shape(conn: psycopg.Connection[Any], query: str) -> Shape:
    """What the server says of a statement with `%(name)s` parameters."""
    numbers: dict[str, int] = {}
    text = _PARAMETER.sub(lambda m: f"${numbers.setdefault(m[1], len(numbers) + 1)}", query)
    pg = conn.pgconn
    prepared = pg.prepare(b"", text.replace("%%", "%").encode())
    if prepared.status != ExecStatus.COMMAND_OK:
        return prepared.error_message.decode().partition("LINE")[0]
    found = pg.describe_prepared(b"")
    columns = [(str(found.fname(n)), found.ftype(n)) for n in range(found.nfields)]
    columns += [("parameter", found.param_type(n)) for n in range(found.nparams)]
    return [(name, _type_name(conn, oid)) for name, oid in columns]


def _type_name(conn: psycopg.Connection[Any], oid: int) -> str:
    row = conn.execute("select %s::oid::regtype::text", [oid]).fetchone()
    assert row is not None
    return str(row[0])


def test_each_statement_of_0_2_has_the_same_parameters_and_columns(
    postgres: Postgres, files: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = (postgres.create_database(f"release_0_2_{name}") for name in ("old", "new"))
    with monkeypatch.context() as patch:
        patch.setattr(module, "scripts", lambda: scripts(files))
        migrate(before)
        migrate(after)
    assert migrate(after)
    queries = {
        f"{path} {name}": body.strip()
        for path, text in files.items()
        if "/queries/" in path
        for parts in [_QUERY_NAME.split(text)]
        for name, body in zip(parts[1::2], parts[2::2], strict=True)
    }
    with (
        psycopg.connect(before, autocommit=True) as old,
        psycopg.connect(after, autocommit=True) as new,
    ):
        expected = {name: shape(old, query) for name, query in queries.items()}
        found = {name: shape(new, query) for name, query in queries.items()}
    assert len(expected) > 100
    assert found == expected
    # A few have parameters whose type only the driver knows.
    assert sum(isinstance(each, str) for each in expected.values()) < 10
