"""The role that deploy/ creates for the program sets up its database and is no superuser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from devservices import Postgres
from pizza.database.connection import connect
from pizza.database.migrate import migrate
from pizza.domain.order import OrderDraft, OrderItem
from pizza.orders import orders

SCRIPT = Path(__file__).parents[3] / "deploy" / "postgres" / "10-role.sh"
ROLE, DATABASE, PASSWORD = "deployed_role", "deployed_restaurant", "5f2a90bc77d1e02b"


@pytest.fixture
def db_url(postgres: Postgres) -> Iterator[str]:
    """The address for the role, after the script's SQL has run under names of this test."""
    found = re.search(r"<<'SQL'\n(.*)\nSQL\n", SCRIPT.read_text(), re.DOTALL)
    assert found is not None
    sql = found[1].replace("restaurant", DATABASE).replace(":'password'", f"'{PASSWORD}'")
    with postgres.connect() as conn:
        conn.autocommit = True
        for statement in sql.split(";\n"):
            conn.execute(re.sub(r"\bpizza\b", ROLE, statement).encode())
        host, port = conn.info.host, conn.info.port
    yield f"postgres://{ROLE}:{PASSWORD}@{host}:{port}/{DATABASE}"
    with postgres.connect() as conn:
        conn.autocommit = True
        conn.execute(f"drop database {DATABASE} with (force)".encode())
        conn.execute(f"drop role {ROLE}".encode())


def test_it_sets_up_and_accepts_orders_without_the_rights_of_a_superuser(db_url: str) -> None:
    migrate(db_url)
    with connect(db_url, name="test") as conn:
        item = OrderItem("Margherita Pizza", 1, Decimal("15.99"))
        assert orders.place_order(conn, OrderDraft("Jo", (item,))).number
        rights = conn.execute(
            "select rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls"
            " from pg_roles where rolname = current_user"
        ).fetchone()
        assert rights == (False,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("select pg_read_file('/etc/passwd')")
