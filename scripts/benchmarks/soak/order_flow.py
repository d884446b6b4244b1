"""Orders through all stations, as fast as they work and no faster."""

import itertools
import time
from collections.abc import Callable

from benchmarks import sample_orders
from benchmarks.environment import BenchCluster
from benchmarks.load import Clients
from benchmarks.results import MeasurementFailed
from pizza.domain.stations import STATION_NAMES
from supervisor.process_group import python

CLIENTS, COOKS = 8, 4
# So many orders may be under way; beyond it the clients wait.
BACKLOG = 200
CUSTOMERS = 20_000  # repeat customers: each is looked up in all earlier orders
DRAIN_SECONDS = 120.0
_LOOK = 0.1

_TASKS = "select count(*) from message where task is not null"
_LEFT = "select exists (select from message)"
_WRONG = "select count(*) from orders where status <> 'delivered'"
_ONLINE = "select count(*) from workers where status = 'online'"

# Deliveries, since only they pass all stations; every other one under an Idempotency-Key.
_PLAIN, _KEYED = (
    [
        sample_orders.template("delivery", turn == 0, header)
        for turn in range(sample_orders.RUSH_EVERY)
    ]
    for header in ("", "Idempotency-Key: soak-%08d\r\n")
)
_TURNS = itertools.count(1)


def _request() -> bytes:
    turn = next(_TURNS)
    customer = turn % CUSTOMERS
    kind = turn % sample_orders.RUSH_EVERY
    return _KEYED[kind] % (turn, customer) if turn % 2 else _PLAIN[kind] % customer


def start_processes(cluster: BenchCluster) -> None:
    """Open the restaurant: service, cooks, one worker at each station, tracking, a subscriber."""
    cluster.environment["LOG_LEVEL"] = "WARN"  # INFO would be gigabytes
    cluster.start_order_service(stations=",".join(STATION_NAMES))
    cluster.start_cooks(COOKS)
    worker = ("pizza", "--mode=kitchen-worker", "--station-time=0", "--grace=1")
    for name in STATION_NAMES:
        command = python(*worker, f"--station={name}", f"--worker-name={name}_1")
        cluster.start_process(name, command)
    cluster.start_process("tracking", python("pizza", "--mode=tracking-service"))
    types = "--notification-types=ready,delivered,cancelled"
    command = python("pizza", "--mode=notification-subscriber", "--name=soak", types)
    cluster.start_process("subscriber", command)
    cluster.wait_until(lambda: cluster.value(_ONLINE) == COOKS + len(STATION_NAMES), "stations")


def send(cluster: BenchCluster, count: int, tick: Callable[[int], None]) -> int:
    """Place `count` orders over HTTP, never more than BACKLOG ahead of the line.

    `tick` is called ten times a second with the number placed so far. Returns how many were
    refused.
    """
    placed = refused = started = 0
    looked, room = 0.0, BACKLOG
    with Clients(cluster.port, CLIENTS) as clients:
        while placed + refused < count:
            now = time.monotonic()
            if now - looked > _LOOK:
                looked, room = now, BACKLOG - int(cluster.value(_TASKS))
                cluster.check()
                tick(placed)
            while clients.idle and room > 0 and started < count:
                clients.idle.pop().send(_request())
                started, room = started + 1, room - 1
            for connection in clients.answered(_LOOK):
                placed += connection.created
                refused += not connection.created
    return refused


def drain(cluster: BenchCluster, queues_empty: Callable[[], bool]) -> None:
    """Wait until every order is delivered and all notifications are received."""
    empty = lambda: not cluster.value(_LEFT) and queues_empty()  # noqa: E731
    cluster.wait_until(empty, "an empty line", 0.1, DRAIN_SECONDS)
    if wrong := cluster.value(_WRONG):
        raise MeasurementFailed(f"{wrong} orders were not delivered; see {cluster.folder}.")
