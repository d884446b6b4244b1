"""Orders through the whole line, as fast as it takes them, and no faster."""

import itertools
import select
import time
from collections.abc import Callable

from benchmarks import sample_orders
from benchmarks.load import SILENCE_SECONDS, Connection, connections
from benchmarks.results import MeasurementFailed
from benchmarks.stage import Site

CLIENTS, COOKS = 8, 4
# So many orders may be under way; beyond it the guests wait.
BACKLOG = 200
GUESTS = 20_000  # who come back: a repeat customer is looked up in all that was ordered before
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
    for header in ("", "Idempotency-Key: held-%08d\r\n")
)
_TURNS = itertools.count(1)


def _request() -> bytes:
    turn = next(_TURNS)
    guest = turn % GUESTS
    kind = turn % sample_orders.RUSH_EVERY
    return _KEYED[kind] % (turn, guest) if turn % 2 else _PLAIN[kind] % guest


def staff(site: Site) -> None:
    """Open the restaurant: service, cooks, one worker at each station, tracking, a subscriber."""
    site.variables["LOG_LEVEL"] = "WARN"  # a line for each step of each order would be gigabytes
    site.open_order_service(stations="quality,packaging,courier")
    site.hire(COOKS)
    worker = ["pizza", "--mode=kitchen-worker", "--station-time=0", "--grace=1"]
    stations = ("quality", "packaging", "courier")
    for name in stations:
        site.start(name, [*worker, f"--station={name}", f"--worker-name={name}_1"])
    site.start("tracking", ["pizza", "--mode=tracking-service"])
    heard = "--notification-types=ready,delivered,cancelled"
    site.start("subscriber", ["pizza", "--mode=notification-subscriber", "--name=held", heard])
    site.until(lambda: site.value(_ONLINE) == COOKS + len(stations), "stations")


def send(site: Site, count: int, tick: Callable[[int], None]) -> int:
    """Place `count` orders over HTTP, never more than BACKLOG ahead of the line.

    `tick` is called ten times a second with the number placed so far. Returns how many were
    refused.
    """
    placed = refused = 0
    looked, room = 0.0, BACKLOG
    with connections(site.port, CLIENTS) as open_ones, select.epoll() as poll:
        for fd in open_ones:
            poll.register(fd, select.EPOLLIN)
        idle, busy, started = list(open_ones.values()), 0, 0
        while placed + refused < count:
            now = time.monotonic()
            if now - looked > _LOOK:
                looked, room = now, BACKLOG - int(site.value(_TASKS))
                site.check()
                tick(placed)
            while idle and room > 0 and started < count:
                _order(idle.pop())
                busy, started, room = busy + 1, started + 1, room - 1
            ready = poll.poll(SILENCE_SECONDS if busy else _LOOK)
            if busy and not ready:
                raise MeasurementFailed(f"{busy} orders are not answered.")
            for fd, _ in ready:
                connection = open_ones[fd]
                if connection.read():
                    placed += connection.created
                    refused += not connection.created
                    idle.append(connection)
                    busy -= 1
    return refused


def _order(connection: Connection) -> None:
    connection.received = b""
    connection.sock.sendall(_request())


def drain(site: Site, queues_empty: Callable[[], bool]) -> None:
    """Wait until every order is delivered and everybody has heard of it."""
    deadline = time.monotonic() + DRAIN_SECONDS
    while site.value(_LEFT) or not queues_empty():
        site.check()
        if time.monotonic() > deadline:
            raise MeasurementFailed(f"The line does not come to its end; see {site.folder}.")
        time.sleep(0.1)
    wrong = site.value(_WRONG)
    if wrong:
        raise MeasurementFailed(f"{wrong} orders were not delivered; see {site.folder}.")
