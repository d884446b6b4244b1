"""Names of dishes and customers are compared by one rule, whatever the database's locale."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from devservices import Postgres
from devservices.install.postgres import find_or_fetch_debian_postgres
from pizza.customers import profiles
from pizza.database import migrate as migration
from pizza.database.connection import BoundedConnection, connect
from pizza.domain.errors import DishNotFound, SoldOut
from pizza.domain.names import fold_name
from pizza.domain.order import OrderDraft, OrderItem
from pizza.menu import dishes
from pizza.menu import storage as menu
from pizza.menu.cache import read_menu
from pizza.notifications.handler import NotificationFilter
from pizza.operations import fold_names
from pizza.orders import orders
from pizza.orders.status_messages import read_status_message
from pizza.processes import setup

# By name: on which server, and what `create database` is told.
LOCALES = {
    "C": (False, "locale 'C'"),
    "C.UTF-8": (False, "locale 'C.UTF-8'"),
    "Turkish": (True, "locale_provider icu icu_locale 'tr-TR'"),
    "English": (True, "locale_provider icu icu_locale 'en-US'"),
}


def decomposed(name: str) -> str:
    return unicodedata.normalize("NFD", name)


# As first typed, and how others may type it.
SAME = [
    ("Éclair", "éclair"),
    ("İskender", decomposed("İSKENDER")),
    ("ΜΟΥΣΑΚΑΣ", "μουσακας"),
    ("ЩИ", "щи"),
    (decomposed("Crème brûlée"), "CRÈME BRÛLÉE"),
    ("Pad  Thai", "Pad Thai"),
    ("Soup of the day ", "Soup of the day"),
    ("Weißwurst", "WEIẞWURST"),
    ("IZGARA", "izgara"),
]


@dataclass(frozen=True)
class Sites:
    """Two servers, and databases of each locale on them."""

    servers: tuple[Postgres, Postgres]

    def create(self, locale: str, name: str) -> str:
        """The URL of a new database without tables."""
        icu, options = LOCALES[locale]
        server = self.servers[icu]
        with server.connect("postgres") as admin:
            admin.execute(f'create database "{name}" template template0 {options}'.encode())
        return server.url_of(name)

    def drop(self, locale: str, name: str) -> None:
        self.servers[LOCALES[locale][0]].drop_database(name)


@pytest.fixture(scope="module")
def sites(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    folder: Path = tmp_path_factory.mktemp("icu")
    server = Postgres(folder, binaries=find_or_fetch_debian_postgres())
    server.start()
    try:
        yield Sites((postgres, server))
    finally:
        server.stop()


@pytest.fixture(scope="module", params=LOCALES)
def url(request: pytest.FixtureRequest, sites: Sites) -> Iterator[str]:
    """A database of one locale, as set-up leaves it."""
    name = f"names_{request.param}"
    url = sites.create(request.param, name)
    setup.setup_db(url)
    yield url
    sites.drop(request.param, name)


@pytest.fixture
def conn(url: str) -> Iterator[BoundedConnection]:
    """A connection whose work is rolled back."""
    with connect(url, name="test") as opened, opened.transaction(force_rollback=True):
        yield opened


def order(conn: BoundedConnection, dish: str = "Pizza", customer_name: str = "Jane") -> Any:
    items = (OrderItem(dish, 1, Decimal("5.00")),)
    return orders.place_order(conn, OrderDraft(customer_name, items), menu=read_menu(conn).tags)


@pytest.mark.parametrize("name", [name for names in SAME for name in names])
def test_a_sold_out_dish_of_any_name_is_refused(conn: BoundedConnection, name: str) -> None:
    dishes.add_dish(conn, name, "special")
    dishes.set_sold_out(conn, name, True)
    with pytest.raises(SoldOut):
        order(conn, name)
    dishes.set_sold_out(conn, name, False)
    assert order(conn, name)


@pytest.mark.parametrize(("typed", "other"), SAME)
def test_a_dish_is_known_however_its_name_is_typed(
    conn: BoundedConnection, typed: str, other: str
) -> None:
    dishes.add_dish(conn, typed, "special")
    assert dishes.add_dish(conn, other, "dessert").name == typed
    assert [dish.name for dish in menu.list_dishes(conn) if dish.tag == "dessert"].count(typed) == 1
    order(conn, other)
    assert conn.execute("select needs from orders").fetchone() == (["dessert"],)
    assert conn.execute("select name from order_items").fetchone() == (other,)
    dishes.set_sold_out(conn, other, True)
    with pytest.raises(SoldOut):
        order(conn, typed)
    dishes.remove_dish(conn, other)
    with pytest.raises(DishNotFound):
        dishes.remove_dish(conn, typed)


def test_names_with_other_letters_are_other_dishes(conn: BoundedConnection) -> None:
    for name in ("ISI", "ısı", "ısi"):
        dishes.add_dish(conn, name, "special")
    assert {"ISI", "ısı", "ısi"} <= {dish.name for dish in menu.list_dishes(conn)}
    dishes.set_sold_out(conn, "ısı", True)
    assert order(conn, "isi")


@pytest.mark.parametrize(("typed", "other"), SAME)
def test_a_vip_is_known_however_the_name_is_typed(
    conn: BoundedConnection, typed: str, other: str
) -> None:
    profiles.set_vip(conn, typed, True)
    assert order(conn, customer_name=other).priority == 10
    assert profiles.customer(conn, other).name == typed
    profiles.set_vip(conn, other, False)
    assert not profiles.customer(conn, typed).vip
    assert order(conn, customer_name=typed).priority == 5  # a repeat customer


@pytest.mark.parametrize(("typed", "other"), SAME)
def test_a_subscriber_gets_events_of_its_customer_in_every_spelling(typed: str, other: str) -> None:
    body = {
        "order_number": "ORD_20250101_001",
        "new_status": "ready",
        "changed_by": "mario",
        "timestamp": "2025-01-01T10:00:00Z",
        "customer_name": other,
    }
    assert read_status_message(body, None) in NotificationFilter(fold_name(typed))


# --- release 0.2, before an upgrade and next to us ------------------------------------------------

ADD_OF_0_2 = """
insert into menu (name, tag, price) values (%(name)s, %(tag)s, null)
on conflict (lower(name)) do update set tag = excluded.tag, changed_at = now()
"""
VIP_OF_0_2 = """
insert into customers as c (key, name, vip, set_by) values (%(key)s, %(name)s, %(vip)s, 'staff')
on conflict (key) do update set vip = excluded.vip, changed_at = clock_timestamp()
"""


def add_as_0_2(conn: psycopg.Connection[Any], *names: str) -> None:
    for name in names:
        conn.execute(ADD_OF_0_2, {"name": name, "tag": "special"})


def set_vip_as_0_2(conn: psycopg.Connection[Any], name: str, vip: bool) -> None:
    key = " ".join(name.casefold().split())
    conn.execute(VIP_OF_0_2, {"key": key, "name": name, "vip": vip})


@pytest.mark.parametrize("locale", ["C", "Turkish"])
def test_an_upgrade_makes_names_with_one_key_one_and_loses_nothing(
    sites: Sites, locale: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"upgraded_{locale}"
    url = sites.create(locale, name)
    with monkeypatch.context() as before:
        scripts = [each for each in migration.scripts() if each.name != "0018_names.sql"]
        before.setattr(migration, "scripts", lambda: scripts)
        migration.migrate(url)
    accents = ("Éclair", decomposed("Éclair"), "éclair") if locale == "C" else ("Éclair",)
    doubles = (
        "Pad  Thai",
        "pad thai",
        *(("PIZZA FUNGHI", "pizza funghi") if "T" in locale else ()),
    )
    with psycopg.connect(url, autocommit=True) as conn:
        add_as_0_2(conn, *accents, *doubles, "ЩИ")
        conn.execute("update menu set sold_out = true where name = 'Pad  Thai'")
        set_vip_as_0_2(conn, decomposed("José"), True)
        set_vip_as_0_2(conn, "José", False)
        set_vip_as_0_2(conn, decomposed("Zoë"), True)
        conn.execute(
            "insert into orders (number, customer_name, customer_key, type, total_amount)"
            " values ('ORD_20250101_001', %s, %s, 'takeout', 5)",
            [decomposed("Zoë"), decomposed("zoë")],
        )
    setup.setup_db(url)
    with connect(url, name="test") as conn:
        added = [dish for dish in menu.list_dishes(conn) if dish.tag == "special"]
        names = {accents[-1], "pad thai", "ЩИ"} | ({"pizza funghi"} if "T" in locale else set())
        assert {dish.name for dish in added} == names
        assert [dish.name for dish in added if dish.sold_out] == ["pad thai"]
        assert conn.execute("select count(*) from menu where key is null").fetchone() == (0,)
        merged = conn.execute("select merged ->> 'name' from merged_name where kind = 'dish'")
        assert {row[0] for row in merged} == {*accents, *doubles} - names
        assert not profiles.customer(conn, "JOSÉ").vip  # the last change by staff
        assert profiles.customer(conn, "Zoë").vip
        assert profiles.customer(conn, "Zoë").orders == 1
        kept = conn.execute(
            "select merged ->> 'vip' from merged_name where kind = 'customer'"
        ).fetchall()
        assert kept == [("true",)]
    assert setup.setup_db(url) == []
    sites.drop(locale, name)


def test_rows_that_release_0_2_writes_get_their_key_in_the_next_run(
    conn: BoundedConnection,
) -> None:
    add_as_0_2(conn, "Minestrone Verde", "ΜΟΥΣΑΚΑΣ", "MINESTRONE VERDE")
    conn.execute("update menu set sold_out = true where name = 'Minestrone Verde'")
    with pytest.raises(SoldOut):  # before any look
        order(conn, "minestrone verde")
    set_vip_as_0_2(conn, decomposed("Zoë"), True)
    fold_names(conn)
    assert order(conn, customer_name="ZOË").priority == 10
    dishes.set_sold_out(conn, "μουσακας", True)
    with pytest.raises(SoldOut):
        order(conn, "ΜΟΥΣΑΚΑΣ")


def test_staff_finds_at_once_what_release_0_2_has_added(conn: BoundedConnection) -> None:
    add_as_0_2(conn, "Щи")
    assert dishes.set_sold_out(conn, "щи", True).name == "Щи"
    set_vip_as_0_2(conn, decomposed("Zoë"), True)
    assert profiles.customer(conn, "Zoë").vip
