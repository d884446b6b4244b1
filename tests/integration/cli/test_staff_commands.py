"""The staff's commands on a real database."""

from __future__ import annotations

import getpass
import json
import logging
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from pizza.auth import sessions
from pizza.cli.staff import GROUPS
from pizza.cli.staff.customers import customers
from pizza.database.connection import BoundedConnection, connect
from pizza.domain.actor import Actor
from pizza.domain.order import OrderDraft, OrderItem
from pizza.orders import orders

Run = Callable[..., Result]


@pytest.fixture
def conn(db_url: str) -> Iterator[BoundedConnection]:
    with connect(db_url, name="test") as open_connection:
        yield open_connection


@pytest.fixture
def run(db_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Run]:
    """Runs a command in this process; fails unless it ends with `code`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DB_URL", db_url)
    program = click.Group("flask", commands={str(each.name): each for each in GROUPS})
    level = logging.getLogger().level

    def command(*words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(program, words)
        assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
        assert "Traceback" not in result.output
        return result

    yield command
    logging.getLogger().setLevel(level)


def place(conn: BoundedConnection, **fields: Any) -> str:
    item = OrderItem("Margherita Pizza", 2, Decimal("15.99"))
    return orders.place_order(conn, OrderDraft(fields.pop("name", "Jo"), (item,), **fields)).number


def cook(conn: BoundedConnection, number: str, status: str) -> None:
    conn.execute(
        "update orders set status = %s, stage = 'handover', started_at = created_at,"
        " version = version + 1,"
        " completed_at = case when %s = 'ready' then created_at + interval '4 s' end"
        " where number = %s",
        [status, status, number],
    )


def commands(group: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(group, click.Group):
        for name, each in group.commands.items():
            yield from commands(each, (*path, name))
    else:
        yield path, group


ALL = [pair for group in GROUPS for pair in commands(group, (str(group.name),))]


@pytest.mark.parametrize(("path", "command"), ALL, ids=[" ".join(path) for path, _ in ALL])
def test_every_command_has_json_and_an_example_of_itself(
    run: Run, path: tuple[str, ...], command: click.Command
) -> None:
    page = run(*path, "--help").stdout
    assert "--json" in page
    assert f"flask --app pizza {' '.join(path)}" in page.split("Example:")[1]


def test_orders_are_listed_newest_first(run: Run, conn: BoundedConnection) -> None:
    first, second = place(conn), place(conn, order_type="dine-in", table_number=3)

    listed = json.loads(run("orders", "list", "--json").stdout)
    assert [each["order_number"] for each in listed] == [second, first]
    lines = run("orders", "list", "--type", "takeout").stdout.splitlines()
    assert lines[0].split()[:3] == ["Number", "Status", "Stage"]
    assert lines[1].split()[:6] == [first, "received", "kitchen", "takeout", "1", "31.98"]
    assert len(lines) == 2
    assert "no such orders" in run("orders", "list", "--before", first).stdout
    assert run("orders", "list", "--status", "ready", "--json").stdout == "[]\n"


def test_an_order_is_shown_with_items_and_history(run: Run, conn: BoundedConnection) -> None:
    number = place(conn, name="Jo\n[red]x")

    page = run("orders", "show", number).stdout

    assert "Margherita Pizza  2         15.99" in page
    assert "priority 1: standard order" in page
    assert "Jo [red]x" in page
    document = json.loads(run("orders", "show", number, "--json").stdout)
    assert document["items"] == [{"name": "Margherita Pizza", "quantity": 2, "price": 15.99}]
    assert [step["notes"] for step in document["history"]] == ["priority 1: standard order"]


def test_orders_are_changed_by_commands(run: Run, conn: BoundedConnection) -> None:
    number = place(conn)

    said = run("orders", "priority", number, "9", "--reason", "Birthday", "--by", "anna").stdout
    assert said == f"Order {number} is received, priority 9.\n"
    conn.execute("delete from message where task = 'cook_order'")
    cook(conn, number, "ready")
    document = json.loads(run("orders", "send-back", number, "--reason", "Burnt", "--json").stdout)
    assert (document["status"], document["priority"]) == ("received", 9)
    cook(conn, number, "cooking")
    assert "only with a reason" in run("orders", "cancel", number, code=1).stderr
    run("orders", "cancel", number, "--reason", "The guest has left")
    late = run("orders", "deliver", number, code=1)
    assert late.stderr == "pizza: An order that is cancelled cannot become delivered.\n"
    assert late.stdout == ""
    notes = [row.notes for row in orders.order_history(conn, number)]
    assert notes[1:] == [
        "priority 1 → 9: manual override: Birthday",
        "staff: Burnt",
        "staff: The guest has left",
    ]


def test_a_delivery_is_carried_by_staff(run: Run, conn: BoundedConnection) -> None:
    number = place(conn, order_type="delivery", delivery_address="1 Main St")
    cook(conn, number, "ready")

    for status in ("out-for-delivery", "delivered"):
        assert status in run("orders", "deliver", number, "--by", "anna").stdout

    assert orders.order_history(conn, number)[-1].changed_by == "anna"


def test_the_menu_is_kept(run: Run) -> None:
    assert "Margherita Pizza" in run("menu", "list").stdout
    run("menu", "add", "Pizza Funghi", "--tag", "pizza", "--price", "16.5")
    assert '"price":16.50' in run("menu", "sold-out", "pizza funghi", "--json").stdout
    assert run("menu", "available", "pizza funghi").stdout == "Pizza Funghi is to be had.\n"
    run("menu", "remove", "Pizza Funghi")
    assert "no 'Pizza Funghi'" in run("menu", "remove", "Pizza Funghi", code=1).stderr


def test_customers_are_known(run: Run, conn: BoundedConnection) -> None:
    assert "no customer 'Jo'" in run("customers", "show", "Jo", code=1).stderr
    place(conn)
    assert run("customers", "vip", "Jo", "--by", "anna").stdout == "Jo is a VIP.\n"
    document = json.loads(run("customers", "show", "jo", "--json").stdout)
    assert (document["vip"], document["vip_set_by"], document["orders"]) == (True, "anna", 1)
    assert run("customers", "no-vip", "Jo").stdout == "Jo is no VIP.\n"
    assert "vip             no" in run("customers", "show", "Jo").stdout


def test_the_kitchen_is_paused_and_resumed(run: Run) -> None:
    assert run("kitchen", "pause", "--reason", "No gas").stdout == "The kitchen takes no orders.\n"
    assert json.loads(run("kitchen", "status", "--json").stdout)["reason"] == "No gas"
    assert run("kitchen", "resume").stdout == "The kitchen takes orders.\n"
    assert ["paused", "no"] in [
        line.split() for line in run("kitchen", "status").stdout.splitlines()
    ]


def test_the_limit_of_orders_is_set_by_a_command(run: Run) -> None:
    done = run("kitchen", "max-concurrent", "80", "--by", "anna")
    assert done.stdout == "The restaurant takes 80 orders at a time.\n"
    shown = json.loads(run("kitchen", "status", "--json").stdout)
    assert (shown["max_concurrent"], shown["max_concurrent_by"]) == (80, "anna")
    done = run("kitchen", "max-concurrent", "0", "--json")
    assert json.loads(done.stdout)["max_concurrent"] == 0
    run("kitchen", "max-concurrent", "1000001", code=2)


def test_a_report_of_today(run: Run, conn: BoundedConnection) -> None:
    for _ in range(3):
        cook(conn, place(conn), "ready")

    report = json.loads(run("report", "--json").stdout)

    assert report["orders"] in (0, 3)  # 0: midnight has just passed
    page = run("report").stdout.splitlines()
    assert page[2].split()[:2] == ["Orders", "Count"]
    if report["orders"]:
        assert page[3].split() == ["all", "3", "0", "3", "4.0", "4.0", "0", "0.0%"]
    assert "orders" in json.loads(run("report", "--day", "2024-02-29", "--json").stdout)


def test_without_workers_the_list_says_so(run: Run) -> None:
    assert run("workers", "list").stdout == "Nobody has ever been at work.\n"
    assert json.loads(run("workers", "list", "--json").stdout) == []


@pytest.mark.parametrize(
    "words",
    [
        ("orders", "list", "--status", "eaten"),
        ("orders", "list", "--limit", "0"),
        ("orders", "show"),
        ("orders", "priority", "ORD_20241216_001", "11", "--reason", "x"),
        ("orders", "priority", "ORD_20241216_001", "5"),
        ("orders", "send-back", "ORD_20241216_001", "--reason", ""),
        ("orders", "cancel", "ORD_20241216_001", "--by", ""),
        ("menu", "add", "Pizza", "--tag", "Pizza!"),
        ("menu", "add", "Pizza", "--tag", "pizza", "--price", "NaN"),
        ("menu", "add", "Pizza", "--tag", "pizza", "--price", "cheap"),
        ("report", "--day", "2024-13-01"),
        ("kitchen", "pause", "--by", "x" * 51),
    ],
)
def test_bad_usage_is_exit_2_with_a_sentence(run: Run, words: tuple[str, ...]) -> None:
    result = run(*words, code=2)
    assert result.stdout == ""
    assert "Error: " in result.stderr


def test_an_unknown_order_is_exit_1(run: Run) -> None:
    for words in (("show",), ("cancel",), ("deliver",)):
        result = run("orders", *words, "ORD_20241216_001", code=1)
        assert result.stderr == "pizza: There is no order ORD_20241216_001.\n"


def test_without_a_server_it_is_exit_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_URL", "postgres://user:s3cret-word@127.0.0.1:9/restaurant")
    result = run("menu", "list", code=1)
    assert result.stderr.startswith("pizza: PostgreSQL is not available")
    assert result.stderr.endswith("Connection refused.\n")
    assert "s3cret" not in result.output


def test_without_tables_it_is_exit_1_with_the_remedy(
    run: Run, monkeypatch: pytest.MonkeyPatch, postgres: Any
) -> None:
    url = postgres.create_database("staff_without_tables")
    monkeypatch.setenv("DB_URL", url)
    assert "setup-db" in run("menu", "list", code=1).stderr
    postgres.drop_database("staff_without_tables")


def test_without_an_address_it_is_exit_2(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DB_URL")
    # No word of --db: there is no such flag here.
    said = "pizza: DB_URL is missing: set it, or write it into .env.\n"
    assert run("menu", "list", code=2).stderr == said


def test_flask_finds_the_commands_and_stdout_has_the_answer_alone(
    db_url: str, conn: BoundedConnection, tmp_path: Path
) -> None:
    number = place(conn)
    words = [sys.executable, "-m", "flask", "--app", "pizza", "orders", "cancel", number, "--json"]

    found = subprocess.run(
        words, capture_output=True, text=True, cwd=tmp_path, env={"DB_URL": db_url, "PATH": ""}
    )

    assert (found.returncode, found.stderr) == (0, "")
    assert json.loads(found.stdout)["status"] == "cancelled"


def on_a_terminal(db_url: str, folder: Path, columns: int) -> str:
    """What `menu list` prints on a terminal of this width."""
    leader, feed = pty.openpty()
    words = [sys.executable, "-m", "flask", "--app", "pizza", "menu", "list"]
    environ = {"DB_URL": db_url, "PATH": "", "TERM": "xterm", "LANG": "C.UTF-8"}
    environ["COLUMNS"] = f"{columns}"

    child = subprocess.Popen(words, stdout=feed, cwd=folder, env=environ)
    os.close(feed)
    drawn = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:  # the other side has closed
            break
        if not part:
            break
        drawn += part
    os.close(leader)

    assert child.wait(10) == 0
    return drawn.decode()


def test_on_a_terminal_tables_are_drawn(db_url: str, tmp_path: Path) -> None:
    drawn = on_a_terminal(db_url, tmp_path, columns=100)
    assert "─" in drawn
    assert "Margherita Pizza" in drawn


def test_on_a_narrow_terminal_nothing_is_cut(db_url: str, tmp_path: Path) -> None:
    drawn = on_a_terminal(db_url, tmp_path, columns=20)
    assert "Quattro Formaggi Pizza" in drawn
    assert "…" not in drawn


def test_a_key_is_made_printed_once_listed_and_revoked(run: Run, conn: BoundedConnection) -> None:
    assert "no keys" in run("keys", "list").stdout
    made = run("keys", "add", "Anna's tablet")
    key = made.stdout.strip()
    key_id = key.split("_")[1]

    assert "not shown again" in made.stderr and key not in made.stderr
    listed = run("keys", "list").stdout
    assert key_id in listed and "Anna's tablet" in listed and key not in listed
    assert (
        run("keys", "revoke", key_id).stdout == f"The key {key_id} of Anna's tablet is revoked.\n"
    )
    (document,) = json.loads(run("keys", "list", "--json").stdout)
    assert document["revoked_at"] and "hash" not in document
    assert "no staff key 'x'" in run("keys", "revoke", "x", code=1).stderr
    assert json.loads(run("keys", "add", "Bert", "--json").stdout)["key"].startswith("pizza_")


def test_a_customer_is_exported_and_erased(run: Run, conn: BoundedConnection) -> None:
    number = place(conn, name="Zoë")
    refused = run("customers", "erase", "zoë", "--yes", code=1)
    assert number in refused.stderr
    run("orders", "cancel", number)
    conn.execute("insert into broker_queue values ('notifications.board', 3, 0, now())")

    document = json.loads(run("customers", "export", "ZOË").stdout)
    assert [order["number"] for order in document["orders"]] == [number]
    assert CliRunner().invoke(customers, ["erase", "Zoë"], input="n\n").exit_code == 1
    erased = run("customers", "erase", "Zoë", "--yes")
    assert erased.stdout == (
        "The customer is erased from 1 orders and 2 waiting messages; 0 dead messages are"
        " deleted.\n"
    )
    assert "3 notifications wait in notifications.board" in erased.stderr
    assert "no customer" in run("customers", "export", "Zoë", code=1).stderr


def test_a_key_has_a_role_a_kind_and_an_end(run: Run, conn: BoundedConnection) -> None:
    run("keys", "add", "Pass tablet", "--role", "station", "--device", "--expires", "30d")
    (document,) = json.loads(run("keys", "list", "--json").stdout)
    assert (document["role"], document["kind"], document["last_used_at"]) == (
        "station",
        "device",
        None,
    )
    lasts = conn.execute("select expires_at - created_at from staff_key").fetchone()
    assert lasts == (timedelta(days=30),)
    listed = run("keys", "list").stdout
    assert "Last use (UTC)" in listed and "station" in listed and "device" in listed
    for bad in (("--role", "owner"), ("--expires", "soon"), ("--expires", "999999w")):
        run("keys", "add", "x", *bad, code=2)


def test_sessions_are_listed_and_ended(run: Run, conn: BoundedConnection) -> None:
    assert "Nobody is logged in." in run("sessions", "list").stdout
    for number, key_id in enumerate(("env-0a1b2c3d", "env-0a1b2c3d", "0a1b2c3d")):
        actor = Actor("environment", "manager", key_id, "203.0.113.7")
        idle = timedelta(hours=1)
        sessions.create_session(conn, f"cookie {number}", actor, idle=idle, agent="Firefox")
    first, *_ = json.loads(run("sessions", "list", "--json").stdout)
    assert (first["key"], first["client"], first["user_agent"]) == (
        "environment",
        "203.0.113.7",
        "Firefox",
    )

    assert run("sessions", "end", first["id"]).stdout == "1 session has ended.\n"
    assert "There is no one session" in run("sessions", "end", first["id"], code=1).stderr
    run("sessions", "end", code=2)
    assert run("sessions", "end", "--all").stdout == "2 sessions have ended.\n"
    assert "Nobody is logged in." in run("sessions", "list").stdout


def test_the_audit_log_names_the_command_and_its_user(run: Run, conn: BoundedConnection) -> None:
    number = place(conn)
    run("menu", "add", "Calzone", "--tag", "pizza", "--price", "9.50")
    run("customers", "vip", "Jo", "--by", "anna")
    run("orders", "show", number)
    key_id = json.loads(run("keys", "add", "Bert", "--json").stdout)["id"]
    run("keys", "revoke", key_id)

    user = getpass.getuser()
    lines = json.loads(run("audit", "--json").stdout)
    assert [(each["action"], each["actor"]) for each in lines] == [
        ("key_revoked", "staff"),
        ("key_added", "staff"),
        ("order_read", "staff"),
        ("vip_changed", "anna"),
        ("dish_added", "staff"),
    ]
    assert {each["source"] for each in lines} == {f"command line ({user})"}
    assert '"price": "9.50"' in run("audit", "--object", "dish Calzone").stdout
    assert "vip_changed" in run("audit", "--actor", "anna", "--since", "2024-12-16").stdout
    assert "There are no such entries." in run("audit", "--since", "2999-01-01").stdout
    run("audit", "--since", "yesterday", code=2)
    run("audit", "--limit", "0", code=2)
