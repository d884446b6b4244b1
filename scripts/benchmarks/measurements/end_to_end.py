"""Everything at once: orders posted as fast as they are taken, while four cooks cook them."""

from benchmarks import cpu, load
from benchmarks.environment import BenchEnvironment
from benchmarks.results import Result, latencies
from terminal.progress import step

CLIENTS, COOKS, GOAL = 16, 4, 600

_READY = """
select count(*) from orders
where completed_at >= to_timestamp(%s) and completed_at < to_timestamp(%s)
"""


def measure(environment: BenchEnvironment, quick: bool) -> list[Result]:
    """All orders of the run by the time from the first POST to the last one cooked.

    And what became ready while the clients kept the service saturated: less, since clients
    get more of the processors than the cooks do, and a backlog grows.
    """
    seconds, warm_up = (4.0, 1.0) if quick else (10.0, 3.0)
    with environment.cluster("stack") as cluster:
        with step(f"Stack: opening, {COOKS} cooks"):
            cluster.start_order_service()
            cluster.start_cooks(COOKS)
        groups = cluster.groups(service=cluster.pids("service"), cooks=cluster.pids("cook"))
        with step(f"Stack: {CLIENTS} clients"):
            before = cpu.snapshot(groups)
            found = load.drive(cluster.port, CLIENTS, seconds, warm_up)
        ready = cluster.value(_READY, found.began, found.began + seconds) / seconds
        with step("Stack: cooking what is left"):
            left = "select exists (select from orders where status <> 'ready')"
            cluster.wait_until(lambda: not cluster.value(left), "the last order", pause=0.1)
            spent = cpu.per_order(before, cpu.snapshot(groups), found.total)
        span = cluster.value(
            "select extract(epoch from max(completed_at) - min(created_at))::float8 from orders"
        )
    details = {
        "placed_in_window_s": round(found.rate),
        "errors": found.errors,
        "cpu_us_per_order": spent,
    } | latencies(found.milliseconds)
    name = f"POST to cooked, {CLIENTS} clients, {COOKS} cooks"
    return [
        Result(f"{name}, all orders", found.total / span, "orders/s", GOAL, details=details),
        Result(f"{name}, while they are posted", ready, "orders/s", GOAL),
    ]
