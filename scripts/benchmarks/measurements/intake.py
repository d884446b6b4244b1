"""Taking orders over HTTP with the relay on, and the database's own rate."""

from benchmarks import cpu, load
from benchmarks.environment import BenchCluster, BenchEnvironment
from benchmarks.measurements import pgbench
from benchmarks.results import MeasurementFailed, Result, at_most, latencies
from pizza.orders import set_capacity
from terminal.progress import step

MANY, FEW = 32, 8
GOAL, GOAL_P99_MS = 1500, 25


def measure(environment: BenchEnvironment, quick: bool) -> list[Result]:
    """Orders a second at 32 clients, latency at 8, and pgbench's rate for the same statement."""
    seconds, warm_up = (4.0, 1.0) if quick else (10.0, 3.0)
    with environment.cluster("intake") as cluster:
        with step("Intake: opening the order service"):
            cluster.start_order_service()
        with step(f"Intake: {MANY} clients"):
            groups = cluster.groups(service=cluster.pids("service"))
            before = cpu.snapshot(groups)
            many = load.drive(cluster.port, MANY, seconds, warm_up)
            spent = cpu.per_order(before, cpu.snapshot(groups), many.total)
        with step(f"Intake: {FEW} clients"):
            few = load.drive(cluster.port, FEW, seconds / 2, 1.0)
        _verify(cluster, many.total + few.total)
        connections = cluster.settings.web_workers * cluster.settings.web_threads
    what = f"Intake: pgbench, {connections} connections"
    with environment.cluster("pgbench") as cluster, step(what):
        set_capacity(cluster.conn, 0)
        database = pgbench.rate(cluster, connections, 3 if quick else 8)
    details = latencies(many.milliseconds) | {"errors": many.errors, "cpu_us_per_order": spent}
    few_details = latencies(few.milliseconds) | {"errors": few.errors, "orders_s": round(few.rate)}
    right, p99 = many.rate if many.errors == 0 else 0.0, few_details["p99_ms"]
    against = f"the same against pgbench, {connections} connections"
    pgbench_details = {"pgbench_orders_s": round(database)}
    rate, baseline = many.rate, ("pgbench", database)
    work = f"intake over HTTP, {FEW} clients, p99"
    return [
        Result(f"intake over HTTP, {MANY} clients", right, "orders/s", GOAL, details=details),
        Result(against, rate, "orders/s", baseline=baseline, details=pgbench_details),
        at_most(work, p99, "ms", GOAL_P99_MS, details=few_details),
    ]


def _verify(cluster: BenchCluster, created: int) -> None:
    """Every 201 is an order with all that belongs to it, and there are no other orders."""
    counts = {
        "orders": cluster.value("select count(*) from orders"),
        "logged": cluster.value("select count(*) from order_status_log"),
        "queued": cluster.value("select count(*) from message where task is not null"),
    }
    if set(counts.values()) != {created}:
        raise MeasurementFailed(f"{created} orders were answered with 201, but stored: {counts}.")
