"""The examples of docs/ and the README run as they stand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from textwrap import indent
from typing import Any

import kombu
import psycopg
import pytest

from devservices import GuardedProcess

from ..support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
FENCED = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def examples(page: str) -> list[str]:
    """The Python examples of a page."""
    found = FENCED.findall((ROOT / page).read_text())
    assert found, f"{page} has no examples"
    return found


@pytest.mark.parametrize("page", ["docs/tasks.md", "README.md"])
def test_the_examples_run_in_their_order(page, db_url, broker_url):
    with psycopg.connect(db_url, autocommit=True) as conn:
        names: dict[str, Any] = {"conn": conn, "db_url": db_url, "broker_url": broker_url}
        if page == "README.md":
            conn.execute("create table purchase (id int primary key, invoiced boolean)")
        for number, example in enumerate(examples(page), start=1):
            exec(compile(example, f"{page}, example {number}", "exec"), names)
        sent = conn.execute("select count(*) from message where task = 'send_invoice'").fetchone()
    assert sent is not None and sent[0] >= 1


def test_the_periodic_tasks_of_the_page_can_run(db_url, broker_url):
    with psycopg.connect(db_url, autocommit=True) as conn:
        names: dict[str, Any] = {"conn": conn, "db_url": db_url, "broker_url": broker_url}
        for example in examples("docs/tasks.md"):
            exec(example, names)
        before = conn.execute("select count(*) from message").fetchone()
        for task in names["app"].periodic_tasks:
            task.run(conn)
        after = conn.execute("select count(*) from message").fetchone()
    assert before is not None and after == (before[0] + 1,)


def test_the_tutorial_runs_and_leaves_nothing(db_url, broker_url, monkeypatch):
    monkeypatch.setenv("DB_URL", db_url)
    monkeypatch.setenv("RABBITMQ", broker_url)
    names: dict[str, Any] = {}
    for number, example in enumerate(examples("docs/tutorial.md"), start=1):
        exec(compile(example, f"docs/tutorial.md, example {number}", "exec"), names)
    left = (
        "select (select count(*) from message where task is not null) "
        "+ (select count(*) from dead_message)"
    )
    assert names["conn"].execute(left).fetchone() == (0,)
    names["conn"].close()
    with kombu.Connection(broker_url) as broker:
        broker.default_channel.queue_delete("tutorial_invoices")


# --- docs/stations.md -----------------------------------------------------------------------------


def with_the_station_of_the_page(folder: Path) -> Path:
    """A copy of the program with the two pieces of code from the page, and nothing else new."""
    copy = folder / "pizza"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "pizza", copy, ignore=ignore)
    shutil.copytree(ROOT / "sql", copy / "sql", ignore=ignore)
    table, task = examples("docs/stations.md")
    change_table(copy / "domain" / "stations.py", table)
    file = copy / "kitchen" / "stations.py"
    before = "    return blueprint\n"
    replace(file, before, indent(task, " " * 4) + "\n" + before)
    return folder


def change_table(file: Path, table: str) -> None:
    """Put the table of the page in place of the program's, which has one row less."""
    present = re.search(r"^STATIONS = \(\n.*?^\)\n", file.read_text(), re.MULTILINE | re.DOTALL)
    assert present is not None
    rows = table.splitlines()
    old = present[0].splitlines()
    assert [row for row in rows if row not in old] == [row for row in rows if "sauces" in row]
    assert [row for row in old if row not in rows] == []
    replace(file, present[0], table)


def replace(file: Path, old: str, new: str) -> None:
    code = file.read_text()
    assert code.count(old) == 1
    file.write_text(code.replace(old, new))


class CopiedProgram:
    """The copied program's processes."""

    def __init__(self, where: Path, db_url: str, broker_url: str, closing: ExitStack) -> None:
        self._closing, self._where = closing, where
        self._environment = os.environ | {
            "PYTHONPATH": str(where),
            "DB_URL": db_url,
            "RABBITMQ": broker_url,
            "COOKING_TIME": "0",
            "STATION_TIME": "0",
        }

    def do(self, *flags: str) -> None:
        """Run the program to its end."""
        done = subprocess.run(self._command(flags), env=self._environment, cwd=self._where)
        assert done.returncode == 0

    def start(self, *flags: str) -> None:
        """Start the program."""
        output = self._closing.enter_context((self._where / "log").open("ab"))
        process = GuardedProcess(
            self._command(flags), env=self._environment, cwd=self._where, output=output
        )
        self._closing.callback(process.kill)

    def _command(self, flags: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "pizza", *flags]


def test_a_row_and_a_task_are_a_station(db_url, broker_url, tmp_path):
    where = with_the_station_of_the_page(tmp_path)
    script = (
        "import pizza, sys\n"
        "from pizza.kitchen.stations import StationTiming, station_tasks\n"
        "from pizza.processes.order_service import apply_start_settings\n"
        "from pizza.config.settings import load\n"
        "from pizza.database.connection import connect\n"
        "assert 'add_sauces' in station_tasks(StationTiming()).tasks\n"
        "with connect(sys.argv[1], name='test') as conn:\n"
        "    apply_start_settings(conn, load({'stations': 'quality,sauces'}))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(where)}
    opened = subprocess.run([sys.executable, "-c", script, db_url], env=environment, cwd=where)
    assert opened.returncode == 0
    with ExitStack() as closing, psycopg.connect(db_url, autocommit=True) as conn:
        program = CopiedProgram(where, db_url, broker_url, closing)
        program.do("--setup-queues")
        place(conn)
        program.start("--mode=kitchen-worker", "--worker-name=cook")
        for name in ("quality", "sauces"):
            program.start("--mode=kitchen-worker", f"--station={name}", f"--worker-name={name}_1")
        walk = "select stage, outcome from order_stage order by started_at"
        wanted = [("quality", "done"), ("sauces", "done")]
        walked = lambda: conn.execute(walk).fetchall() == wanted  # noqa: E731
        try:
            wait_until(walked, 20, "it has walked the line")
        except AssertionError:
            print((where / "log").read_text()[-2000:])
            raise
        (order,) = conn.execute("select status, stage from orders").fetchall()
        assert order == ("ready", "handover")
        (saucier,) = conn.execute("select type from workers where name = 'sauces_1'").fetchall()
        assert saucier == ("saucier",)


def place(conn: psycopg.Connection[Any]) -> None:
    """One takeout order."""
    from decimal import Decimal

    from pizza.domain.order import OrderDraft, OrderItem
    from pizza.orders.orders import place_order

    place_order(conn, OrderDraft("Jane", (OrderItem("Pizza", 1, Decimal("18.99")),)))
