"""The database's own rate for placing orders: pgbench with the statement that the service sends."""

import os
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.figures import MeasurementFailed
from benchmarks.sample import ITEMS, WHERE
from benchmarks.stage import Site
from pizza.database.connection import SESSION_OPTIONS
from pizza.services.topology import ORDERS_TOPIC, TYPED_QUEUES

RATE = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
RESULT = "select verdict, number, priority, rule, created_at, estimated_completion"


def find(binaries: Path) -> Path | None:
    """pgbench beside the server's programs, or the system's."""
    folders = [binaries, *sorted(Path("/usr/lib/postgresql").glob("[0-9]*/bin"), reverse=True)]
    return next((f / "pgbench" for f in folders if os.access(f / "pgbench", os.X_OK)), None)


def rate(site: Site, connections: int, seconds: int) -> float:
    """Orders a second over so many connections, prepared, with nothing else running."""
    program = find(site.servers.postgres.binaries)
    if program is None:
        raise MeasurementFailed("pgbench is nowhere: install postgresql-contrib.")
    scripts = [_script(site.folder, order_type) for order_type in WHERE]
    url = urlsplit(site.db_url)
    command = [str(program), "-n", "-M", "prepared", "-c", str(connections), "-j", "1"]
    command += ["-T", str(seconds), *(part for path in scripts for part in ("-f", str(path)))]
    command += ["-h", str(url.hostname), "-p", str(url.port), "-U", str(url.username)]
    environment = {name: value for name, value in os.environ.items() if name[:2] != "PG"}
    environment |= {"PGPASSWORD": url.password or "", "PGOPTIONS": SESSION_OPTIONS}
    done = subprocess.run(
        [*command, url.path[1:]], env=environment, capture_output=True, text=True, check=False
    )
    found = RATE.search(done.stdout)
    if done.returncode or not found:
        raise MeasurementFailed(f"pgbench failed: {(done.stderr or done.stdout)[-300:]}")
    return float(found[1])


def _script(folder: Path, order_type: str) -> Path:
    """A script that places orders of one type, each for a guest of its own."""
    where = WHERE[order_type]
    table, address = where.get("table_number", "null"), where.get("delivery_address")
    names, quantities, prices = (",".join(map(repr, column)) for column in zip(*ITEMS, strict=True))
    total = sum(quantity * float(price) for _, quantity, price in ITEMS)
    text = f"""\\set guest random(1, 1000000000000)
{RESULT} from order_place(
 clock_timestamp() + interval '1.9 s', 'Guest ' || (:guest)::bigint, 'guest ' || (:guest)::bigint,
 'regular', '{order_type}', {table}, {f"'{address}'" if address else "null"}, false, {total:.2f},
 array[{names}]::text[], array[{quantities}]::integer[], array[{prices}]::numeric[],
 1, 'default', 2, 'repeat customer', interval '10 s', '{TYPED_QUEUES[order_type]}',
 '{ORDERS_TOPIC}', 'order-service');
"""
    path = folder / f"{order_type}.sql"
    path.write_text(text)
    return path
