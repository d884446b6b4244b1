"""What open streams cost those who order: the same load without and with them, by turns."""

import signal
from statistics import median

from benchmarks import listeners, load
from benchmarks.results import Figure, latencies
from benchmarks.stage import Site, Stage
from pizza.database.connection import connect
from terminal.progress import step

CLIENTS = 8
# Guests who follow an order each, and screens that show all of them.
GUESTS, BOARDS = 490, 10
GOAL_RATIO = 1.5


def measure(stage: Stage, quick: bool) -> list[Figure]:
    """The 99th percentile of POST /orders at 8 clients with 500 open streams, to that with none."""
    rounds, seconds = (1, 4.0) if quick else (3, 10.0)
    without, held = [], []
    errors = 0
    with stage.site("streams") as site:
        with step("Streams: opening the order service"):
            site.open_order_service()
        load.drive(site.port, CLIENTS, 1.0, 0.5)
        paths = _paths(site)
        for turn in range(rounds):
            with step(f"Streams: none, {turn + 1} of {rounds}"):
                alone = load.drive(site.port, CLIENTS, seconds, 1.0)
            with step(f"Streams: {GUESTS + BOARDS}, {turn + 1} of {rounds}"):
                _listen(site, paths)
                beside = load.drive(site.port, CLIENTS, seconds, 1.0)
                site.check()
                _hang_up(site)
            errors += alone.errors + beside.errors
            without.append(latencies(alone.milliseconds) | {"orders_s": round(alone.rate)})
            held.append(latencies(beside.milliseconds) | {"orders_s": round(beside.rate)})
    before, after = (median(each["p99_ms"] for each in found) for found in (without, held))
    details = {"without": without, "with": held, "errors": errors}
    return [
        Figure(
            f"POST p99 with {GUESTS + BOARDS} open streams, to that with none",
            after / before if errors == 0 else float("inf"),
            "×",
            GOAL_RATIO,
            lower=True,
            spread=[b["p99_ms"] / a["p99_ms"] for a, b in zip(without, held, strict=True)],
            details=details,
        ),
        Figure("the same in milliseconds", after, "ms", against=("none", before)),
    ]


def _paths(site: Site) -> list[str]:
    """Each guest another order, as far as there are any."""
    with connect(site.db_url, name="bench") as conn:
        rows = conn.execute("select number from orders limit %s", (GUESTS,)).fetchall()
    each, more = divmod(GUESTS, len(rows))
    numbers = [(number, each + (n < more)) for n, (number,) in enumerate(rows)]
    return [f"/events={BOARDS}", *(f"/orders/{number}/events={count}" for number, count in numbers)]


def _listen(site: Site, paths: list[str]) -> None:
    site.start("listeners", ["benchmarks.listeners", str(site.port), *paths])
    said = site.folder / "listeners.log"
    site.until(lambda: listeners.OPEN in said.read_text(), "the streams")


def _hang_up(site: Site) -> None:
    """Their clients go; the order service notices with the next sign of life."""
    process = site.processes.pop("listeners")
    process.send(signal.SIGTERM)
    process.finish(5.0)
    (site.folder / "listeners.log").unlink()
