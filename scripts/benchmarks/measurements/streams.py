"""How open streams slow down orders: the same load without and with them, in turns."""

from statistics import median

from benchmarks import listeners, load
from benchmarks.environment import BenchCluster, BenchEnvironment
from benchmarks.results import Result, at_most, latencies
from supervisor.process_group import python
from terminal.progress import step

CLIENTS = 8
# Customers with a stream of one order each, and screens with streams of all orders.
CUSTOMERS, BOARDS = 490, 10
GOAL_RATIO = 1.5


def measure(environment: BenchEnvironment, quick: bool) -> list[Result]:
    """The 99th percentile of POST /orders at 8 clients with 500 open streams, to that with none."""
    rounds, seconds = (1, 4.0) if quick else (3, 10.0)
    without, held = [], []
    errors = 0
    with environment.cluster("streams") as cluster:
        with step("Streams: opening the order service"):
            cluster.start_order_service()
        load.drive(cluster.port, CLIENTS, 1.0, 0.5)
        paths = _paths(cluster)
        for turn in range(rounds):
            with step(f"Streams: none, {turn + 1} of {rounds}"):
                alone = load.drive(cluster.port, CLIENTS, seconds, 1.0)
            with step(f"Streams: {CUSTOMERS + BOARDS}, {turn + 1} of {rounds}"):
                _listen(cluster, paths)
                loaded = load.drive(cluster.port, CLIENTS, seconds, 1.0)
                cluster.check()
                # The order service notices with its next heartbeat.
                cluster.stop_process("listeners")
                (cluster.folder / "listeners.log").unlink()
            errors += alone.errors + loaded.errors
            without.append(latencies(alone.milliseconds) | {"orders_s": round(alone.rate)})
            held.append(latencies(loaded.milliseconds) | {"orders_s": round(loaded.rate)})
    before, after = (median(each["p99_ms"] for each in found) for found in (without, held))
    details = {"without": without, "with": held, "errors": errors}
    spread = [b["p99_ms"] / a["p99_ms"] for a, b in zip(without, held, strict=True)]
    ratio = after / before if errors == 0 else float("inf")
    work = f"POST p99 with {CUSTOMERS + BOARDS} open streams, to that with none"
    return [
        at_most(work, ratio, "×", GOAL_RATIO, spread=spread, details=details),
        Result("the same in milliseconds", after, "ms", baseline=("none", before)),
    ]


def _paths(cluster: BenchCluster) -> list[str]:
    """Each customer another order, as far as there are any."""
    rows = cluster.conn.execute("select number from orders limit %s", (CUSTOMERS,)).fetchall()
    each, more = divmod(CUSTOMERS, len(rows))
    numbers = [(number, each + (n < more)) for n, (number,) in enumerate(rows)]
    return [f"/events={BOARDS}", *(f"/orders/{number}/events={count}" for number, count in numbers)]


def _listen(cluster: BenchCluster, paths: list[str]) -> None:
    command = python("benchmarks.listeners", str(cluster.port), *paths)
    cluster.start_process("listeners", command)
    said = cluster.folder / "listeners.log"
    cluster.wait_until(lambda: listeners.OPEN in said.read_text(), "the streams")
