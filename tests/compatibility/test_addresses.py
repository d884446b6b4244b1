"""Addresses of databases, read as libpq reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from devservices import Postgres, free_port
from pizza.database import address
from pizza.database.connection import connect
from pizza.database.errors import DatabaseUnavailable
from pizza.database.pool import Pool

from .conftest import MakeDatabase

NOBODY = "127.0.0.1"


@pytest.fixture(scope="module")
def read_only_database(new_database: MakeDatabase) -> str:
    """A read-only database of the same server, like that of a standby."""
    return new_database({"default_transaction_read_only": "on"})


@pytest.fixture(scope="module")
def writable_database(new_database: MakeDatabase) -> str:
    return new_database()


def several(url: str, hosts: str, ports: str, **more: str) -> str:
    """A conninfo string of the same database with other hosts."""
    return make_conninfo(url, host=hosts, port=ports, **more)


def test_the_next_host_is_tried_when_the_first_is_closed(
    writable_database: str, postgres: Postgres
) -> None:
    ports = f"{free_port()},{postgres.port}"
    given = conninfo_to_dict(writable_database)
    first, second = ports.split(",")
    url = (
        f"postgres://{given['user']}:{given['password']}@{NOBODY}:{first},{NOBODY}:{second}"
        f"/{given['dbname']}?target_session_attrs=read-write"
    )
    string = several(
        writable_database, f"{NOBODY},{NOBODY}", ports, target_session_attrs="read-write"
    )
    for each in (url, string):
        assert address.problem(each) is None
        with connect(each, name="test") as conn:
            assert conn.execute("select 1").fetchone() == (1,)
        pool = Pool(each, size=1, name="test")
        with pool.connection(timeout=5) as conn:
            assert conn.execute("select 1").fetchone() == (1,)
        pool.close()


def test_a_server_that_only_reads_is_passed_over(
    read_only_database: str, writable_database: str
) -> None:
    with pytest.raises(DatabaseUnavailable, match="read-only"):
        connect(make_conninfo(read_only_database, target_session_attrs="read-write"), name="test")
    with connect(
        make_conninfo(read_only_database, target_session_attrs="read-only"), name="test"
    ) as conn:
        assert conn.execute("select 1").fetchone() == (1,)


def test_an_address_has_its_own_time_to_connect(writable_database: str) -> None:
    with connect(make_conninfo(writable_database, connect_timeout="7"), name="test") as conn:
        assert conn.info.get_parameters()["connect_timeout"] == "7"
    with connect(writable_database, name="test") as conn:
        assert conn.info.get_parameters()["connect_timeout"] == "3"


def test_a_service_file_and_variables_count(
    writable_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = conninfo_to_dict(writable_database)
    lines = [f"{name}={value}" for name, value in given.items()]
    file = tmp_path / "pg_service.conf"
    file.write_text("\n".join(["[pizza]", *lines, ""]))
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    assert address.problem("service=pizza") is None
    with connect("service=pizza", name="test") as conn:
        assert conn.info.dbname == given["dbname"]
    assert address.hosts("service=pizza") == [given["host"]]
    monkeypatch.setenv("PGHOST", "one.example,two.example")
    monkeypatch.setenv("PGSSLMODE", "require")
    assert address.hosts("dbname=x") == ["one.example", "two.example"]
    assert address.parameters("dbname=x")["sslmode"] == "require"


GOOD = [
    "postgres://u:p@h1:5432,h2:5433/db?target_session_attrs=read-write",
    "postgresql://h1,h2/db?load_balance_hosts=random",
    "postgresql:///db?host=/var/run/postgresql&port=5433",
    "postgres://[::1]:5432,[2001:db8::1]/db",
    "host=a,b port=5432 dbname=x user='o''x'".replace("''", "\\'"),
    "dbname=x",
    "postgres://u:p%2Fw@h/db?sslmode=verify-full&sslrootcert=/x.pem&options=-csearch_path%3Dx",
    "postgres://h/db?connect_timeout=10&keepalives_idle=30",
]
BAD = {
    "": "must look like",
    "localhost": "must look like",
    "mysql://h/d": "must look like",
    "postgres://": "must look like",
    "postgres://u:pass word@h/d": "must look like",
    "postgres://h\0/d": "must look like",
    "postgres://h:port/d": "ports from 1 to 65535",
    "postgres://h:99999/d": "ports from 1 to 65535",
    "postgres://u:p/w@h/d": "ports from 1 to 65535",
    "host=a,b,c port=1,2": "one for each host",
    "postgres://h/d?foo=1": "a parameter that libpq does not know",
    "host=h foo=1": "a parameter that libpq does not know",
    "postgres://h/d?sslmode=on": "sslmode=on, which libpq does not know",
    "postgres://h/d?target_session_attrs=primry": "target_session_attrs=primry, which libpq",
    "postgres://h/d?connect_timeout=soon": "a connect_timeout that is no whole number",
    "service=nowhere dbname=x": "is refused by libpq: definition of service",
}


@pytest.mark.parametrize("text", GOOD)
def test_an_address_that_libpq_accepts_is_accepted(text: str) -> None:
    assert address.problem(text) is None


@pytest.mark.parametrize(("text", "words"), BAD.items())
def test_an_address_that_libpq_refuses_is_refused_by_name(text: str, words: str) -> None:
    assert words in str(address.problem(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgres://u:p@h1:5432,h2/db", ["h1", "h2"]),
        ("host=a,b hostaddr=10.0.0.1,10.0.0.2", ["10.0.0.1", "10.0.0.2"]),
        ("hostaddr=10.0.0.1", ["10.0.0.1"]),
        ("postgresql:///db?host=/tmp", ["/tmp"]),
        ("dbname=x", [""]),
    ],
)
def test_the_hosts_of_an_address_are_known(text: str, expected: list[str]) -> None:
    assert address.hosts(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgres://u:s%2Fcret@h1,h2/db", {"s/cret"}),
        (r"host=a password='it\'s' sslpassword=other", {"it's", "other"}),
        ("dbname=x", set()),
        ("no address", set()),
    ],
)
def test_the_passwords_of_an_address_are_known(text: str, expected: set[str]) -> None:
    assert address.passwords(text) == expected
