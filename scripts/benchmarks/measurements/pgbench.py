"""The database's own rate for placing orders: pgbench with the statement that the service sends."""

import os
import re
import shutil
import subprocess
from typing import Any, cast

from psycopg.sql import Literal

from benchmarks import sample_orders
from benchmarks.environment import BenchCluster
from benchmarks.results import MeasurementFailed
from devservices.install.postgres import of_debian
from pizza.database.connection import BoundedConnection
from pizza.database.session_settings import session_settings
from pizza.orders.orders import place_order

RATE = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
PARAMETER = re.compile(r"%\((\w+)\)s")
COMMENT = re.compile(r"^--.*$", re.MULTILINE)
GUEST = re.compile(r"(guest )\d+", re.IGNORECASE)


def rate(cluster: BenchCluster, connections: int, seconds: int) -> float:
    """Orders a second over so many connections, prepared, with nothing else running."""
    folders = map(str, (cluster.servers.postgres.binaries, *of_debian()))
    program = shutil.which("pgbench", path=os.pathsep.join(folders))
    if program is None:
        raise MeasurementFailed("pgbench is nowhere: install postgresql-contrib.")
    command = [program, "-n", "-M", "prepared", "-c", str(connections), "-j", "1"]
    command += ["-T", str(seconds)]
    for number in range(sample_orders.KINDS):
        script = cluster.folder / f"{number}.sql"
        script.write_text(_script(cluster.conn))
        command += ["-f", str(script)]
    command.append(cluster.db_url)
    environment = {name: value for name, value in os.environ.items() if name[:2] != "PG"}
    environment["PGOPTIONS"] = _options(cluster.conn)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    found = RATE.search(done.stdout)
    if done.returncode or not found:
        raise MeasurementFailed(f"pgbench failed: {(done.stderr or done.stdout)[-300:]}")
    return float(found[1])


def _options(conn: BoundedConnection) -> str:
    """The settings of our sessions as libpq takes them: a blank in a value has a backslash."""
    settings = session_settings(conn.info.server_version).items()
    escaped = ((name, str(value).replace(" ", "\\ ")) for name, value in settings)
    return " ".join(f"-c {name}={value}" for name, value in escaped)


class _Caught(Exception):
    """A statement on its way to the database, with its parameters."""


class _Catcher:
    """A connection, and its cursor, that send nothing."""

    def cursor(self, **_: object) -> "_Catcher":
        return self

    def execute(self, query: str, parameters: dict[str, Any]) -> None:
        raise _Caught(query, parameters)


def _script(conn: BoundedConnection) -> str:
    """What `place_order` sends for the next sample order, as a script; customers are random."""
    try:
        place_order(cast(BoundedConnection, _Catcher()), sample_orders.draft())
    except _Caught as caught:
        query, values = caught.args
    statement = PARAMETER.sub(lambda x: f"({Literal(values[x[1]]).as_string(conn)})", query)
    statement = GUEST.sub(r"\1' || (:guest)::bigint || '", statement)
    statement = " ".join(COMMENT.sub("", statement).split())
    return f"\\set guest random(1, 1000000000000)\n{statement};\n"
