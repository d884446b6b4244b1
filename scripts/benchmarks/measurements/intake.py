"""Taking orders over HTTP with the relay on, beside the database's own rate."""

from benchmarks import cpu, load
from benchmarks.measurements import pgbench
from benchmarks.results import Figure, MeasurementFailed, latencies
from benchmarks.stage import Site, Stage
from pizza.orders.orders import set_capacity
from terminal.progress import step

MANY, FEW = 32, 8
GOAL, GOAL_P99_MS = 1500, 25


def measure(stage: Stage, quick: bool) -> list[Figure]:
    """Orders a second at 32 clients, latency at 8, and pgbench's rate for the same statement."""
    seconds, warm_up = (4.0, 1.0) if quick else (10.0, 3.0)
    with stage.site("intake") as site:
        with step("Intake: opening the order service"):
            site.open_order_service()
        with step(f"Intake: {MANY} clients"):
            groups = site.groups(service=site.pids("service"))
            before = cpu.snapshot(groups)
            many = load.drive(site.port, MANY, seconds, warm_up)
            spent = cpu.per_order(before, cpu.snapshot(groups), many.total)
        with step(f"Intake: {FEW} clients"):
            few = load.drive(site.port, FEW, seconds / 2, 1.0)
        _verify(site, many.total + few.total)
        connections = site.settings.web_workers * site.settings.web_threads
    database = _database(stage, connections, 3 if quick else 8)
    details = latencies(many.milliseconds) | {"errors": many.errors, "cpu_us_per_order": spent}
    few_details = latencies(few.milliseconds) | {"errors": few.errors, "orders_s": round(few.rate)}
    right = many.rate if many.errors == 0 else 0.0
    return [
        Figure(f"intake over HTTP, {MANY} clients", right, "orders/s", GOAL, details=details),
        Figure(
            f"the same against pgbench, {connections} connections",
            many.rate,
            "orders/s",
            against=("pgbench", database),
            details={"pgbench_orders_s": round(database)},
        ),
        Figure(
            f"intake over HTTP, {FEW} clients, p99",
            few_details["p99_ms"],
            "ms",
            GOAL_P99_MS,
            lower=True,
            details=few_details,
        ),
    ]


def _verify(site: Site, created: int) -> None:
    """Every 201 is an order with all that belongs to it, and there is none beside them."""
    counts = {
        "orders": site.value("select count(*) from orders"),
        "logged": site.value("select count(*) from order_status_log"),
        "queued": site.value("select count(*) from message where task is not null"),
    }
    if set(counts.values()) != {created}:
        raise MeasurementFailed(f"{created} orders were answered with 201, but stored: {counts}.")


def _database(stage: Stage, connections: int, seconds: int) -> float:
    with stage.site("pgbench") as site:
        set_capacity(site.conn, 0)
        with step(f"Intake: pgbench, {connections} connections"):
            return pgbench.rate(site, connections, seconds)
