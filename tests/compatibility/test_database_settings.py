"""Settings of the database, the role or the environment do not change what the program does."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from devservices import Postgres, Servers
from pizza.database.connection import connect
from pizza.database.session_settings import _FACTS, session_settings

from ..support.restaurant import Program, Restaurant, meal
from .conftest import MakeDatabase, restaurant_on

# For each setting of ours a value that the program could not work with, or would not expect.
OPPOSITES = {
    "client_encoding": "LATIN1",
    "DateStyle": "German, DMY",
    "TimeZone": "Asia/Kathmandu",
    "standard_conforming_strings": "off",
    "IntervalStyle": "iso_8601",
    "extra_float_digits": "-10",
    "bytea_output": "escape",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "exit_on_error": "on",
    "row_security": "off",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "statement_timeout": "1000",
    "lock_timeout": "100",
    "idle_in_transaction_session_timeout": "1000",
    "idle_session_timeout": "2000",
    "transaction_timeout": "1500",
    "client_connection_check_interval": "0",
    "tcp_keepalives_idle": "7200",
    "tcp_keepalives_interval": "75",
    "tcp_keepalives_count": "9",
    "plan_cache_mode": "force_custom_plan",
}
# Settings that the program leaves alone, and works with.
HARMLESS = {
    "xmloption": "document",
    "xmlbinary": "hex",
    "quote_all_identifiers": "on",
    "check_function_bodies": "off",
    "client_min_messages": "debug1",
    "synchronous_commit": "off",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_nestloop": "off",
    "jit_above_cost": "0",
    "geqo": "off",
    "from_collapse_limit": "1",
    "join_collapse_limit": "1",
    "backslash_quote": "off",
    "timezone_abbreviations": "India",
    "plpgsql.extra_errors": "all",
    "plpgsql.extra_warnings": "all",
}
ORDERS = 60


@pytest.fixture(scope="module")
def all_opposites(postgres: Postgres, new_database: MakeDatabase) -> str:
    """An empty database whose defaults are the opposite of all that we rely on."""
    with postgres.connect() as conn:
        known = session_settings(conn.info.server_version)
    return new_database({name: OPPOSITES[name] for name in known} | HARMLESS)


@pytest.fixture(scope="module")
def restaurant(
    servers: Servers, all_opposites: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Restaurant]:
    folder = tmp_path_factory.mktemp("settings")
    with restaurant_on(servers, folder, all_opposites) as made:
        setup = made.start("setup", "--setup-db")
        assert setup.exit_code(60) == 0, (setup.lines, setup.stderr)
        yield made


def test_sixty_orders_at_a_time_are_cooked_with_all_defaults_of_the_database(
    restaurant: Restaurant,
) -> None:
    service = restaurant.open()
    cooks = restaurant.start_cooks(["mario", "luigi"])
    tracker = restaurant.track()
    answers = restaurant.rush([meal() for _ in range(ORDERS)], clients=12)
    assert [answer.status for answer in answers] == [201] * ORDERS
    numbers = [answer.document["order_number"] for answer in answers]
    restaurant.ledger.wait_for("ready", numbers, 60)
    restaurant.ledger.check_all_ready()
    for program in (service, *cooks, tracker):
        assert not lost_anything(program), program.name


def lost_anything(program: Program) -> list[object]:
    """What it says of a lost lead, a lost database, or an error."""
    return [
        line
        for line in program.lines
        if line["level"] == "ERROR"
        or line.get("action") in ("relay_lost", "database_lost", "database_unavailable")
    ]


def test_each_setting_of_a_session_is_ours(all_opposites: str) -> None:
    with connect(all_opposites, name="test") as conn:
        for name, value in session_settings(conn.info.server_version).items():
            shown = conn.execute("select current_setting(%s)", [name]).fetchone()
            assert shown == (value,), name


def test_options_of_the_address_are_kept_except_for_required_ones(
    db_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGTZ", "Asia/Kathmandu")
    monkeypatch.setenv("PGDATESTYLE", "German")
    url = make_conninfo(db_url, options="-c work_mem=7MB -c statement_timeout=5")
    with connect(url, name="test") as conn:
        names = ("work_mem", "statement_timeout", "TimeZone", "DateStyle")
        found = [conn.execute("select current_setting(%s)", [name]).fetchone() for name in names]
    assert found == [("7MB",), ("0",), ("UTC",), ("ISO, MDY",)]


def test_a_time_out_of_the_server_that_ends_our_first_statement_does_no_harm(
    db_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a first statement that takes longer than the server allows
    slow = _FACTS.replace("1000000", "1000000 + length(pg_sleep(0.5)::text)")
    monkeypatch.setattr("pizza.database.session_settings._FACTS", slow)
    url = make_conninfo(db_url, options="-c statement_timeout=200")
    with connect(url, name="test") as conn:
        assert conn.execute("select current_setting('statement_timeout')").fetchone() == ("0",)


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_two_changes_of_one_row_do_not_fail_each_other(
    new_database: MakeDatabase, isolation: str
) -> None:
    url = new_database({"default_transaction_isolation": isolation})
    with connect(url, name="one") as one, connect(url, name="two") as two:
        one.execute("create table counter as select 0 as n")
        with one.transaction():
            one.execute("select n from counter")
            two.execute("update counter set n = n + 1")
            one.execute("update counter set n = n + 1")
        assert two.execute("select n from counter").fetchone() == (2,)


def test_a_database_that_is_to_be_read_only_stays_so(new_database: MakeDatabase) -> None:
    """An operator sets this before a move: writing all the same would lose what is written."""
    url = new_database({"default_transaction_read_only": "on"})
    with (
        connect(url, name="test") as conn,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        conn.execute("create table t ()")


def test_the_clocks_are_compared_whatever_the_zone_is(all_opposites: str) -> None:
    with connect(all_opposites, name="test") as conn:
        assert abs(conn.clock_offset.total_seconds()) < 60
