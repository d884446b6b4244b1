"""A backlog cooked by us, by Celery and by Dramatiq in turn, all on the same orders and tables.

Counted from the 10 % mark to the last order, by the database's clock, so that nobody's start-up is
in it. Celery and Dramatiq make the same rows with two statements (peers.sql); the relay publishes
the notifications of all three.
"""

import time
from importlib.util import find_spec
from statistics import median

from benchmarks import cpu, sample_orders
from benchmarks.peers import kitchens
from benchmarks.results import Figure, MeasurementFailed
from benchmarks.stage import Site, Stage
from pizza.database.connection import BoundedConnection
from pizza.orders.orders import place_order, set_capacity
from terminal.progress import step

COOKS = 4
START = 0.1
GIVE_UP_SECONDS = 90.0
US = "pizza"

Spent = dict[str, list[dict[str, float]]]

_READY = "select count(*) from orders where status = 'ready'"
_SECONDS = """
select extract(epoch from max(completed_at) - min(completed_at) filter (where place > %s))::float8
from (select completed_at, row_number() over (order by completed_at) as place from orders) as line
"""


def measure(stage: Stage, quick: bool) -> list[Figure]:
    """Medians over rounds in which everybody has a turn, and the ratio to each peer."""
    orders, rounds = (1000, 1) if quick else (3000, 4)
    teams = [US, *(peer for peer in kitchens.WORKERS if find_spec(peer))]
    rates: dict[str, list[float]] = {team: [] for team in teams}
    spent: Spent = {team: [] for team in teams}

    def fill(conn: BoundedConnection) -> None:
        with step(f"Kitchen: placing {orders} orders"):
            set_capacity(conn, 0)
            for _ in range(orders):
                place_order(conn, sample_orders.draft())

    with stage.template(fill) as backlog:
        # Every other round the other way round: a machine that tires tires for all.
        turns = [(turn, team) for turn in range(rounds) for team in teams[:: (-1) ** turn]]
        for turn, team in turns:
            what = f"Kitchen: {team}, round {turn + 1} of {rounds}"
            with step(what), stage.site(team, backlog) as site:
                rate, used = _cook(site, team, orders)
            rates[team].append(rate)
            spent[team].append(used)
    return _figures(rates, spent)


def _cook(site: Site, team: str, orders: int) -> tuple[float, dict[str, float]]:
    """Have a team cook the backlog: orders a second, and microseconds of processor an order."""
    if team != US:
        kitchens.prepare(site, team)
    site.open_order_service()
    site.until_published()
    if team == US:
        site.hire(COOKS, wait=False)
    else:
        kitchens.start(site, team, COOKS)
    groups = site.groups(cooks=site.pids("cook"), relay=site.pids("service"))
    skipped = int(orders * START)
    first = _await(site, skipped, 0.01)
    before = cpu.snapshot(groups)
    _await(site, orders, 0.05)
    used = cpu.per_order(before, cpu.snapshot(groups), orders - first)
    _verify(site, orders)
    return (orders - skipped - 1) / site.value(_SECONDS, skipped), used


def _await(site: Site, ready: int, pause: float) -> int:
    """Wait until so many orders are ready; gives how many are."""
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while (found := int(site.value(_READY))) < ready:
        site.check()
        if time.monotonic() > deadline:
            raise MeasurementFailed(f"{found} of {ready} orders were cooked; see {site.folder}.")
        time.sleep(pause)
    return found


def _verify(site: Site, orders: int) -> None:
    """Each order was received, cooked and made ready once."""
    logged = site.value("select count(*) from order_status_log")
    counted = site.value("select sum(orders_processed) from workers")
    if (logged, counted) != (3 * orders, orders):
        raise MeasurementFailed(
            f"{orders} orders left {logged} log rows, and the cooks count {counted}."
        )


def _figures(rates: dict[str, list[float]], spent: Spent) -> list[Figure]:
    rate = {team: median(found) for team, found in rates.items()}
    parts = {
        team: {name: median(each[name] for each in found) for name in found[0]}
        for team, found in spent.items()
    }
    figures = []
    for peer in list(rate)[1:]:
        figures.append(
            Figure(
                f"kitchen, {COOKS} cooks, against {peer.title()}",
                rate[US],
                "orders/s",
                goal=rate[peer] if peer == "celery" else None,
                against=(peer.title(), rate[peer]),
                spread=rates[US],
                details={"peer_orders_s": round(rate[peer]), "peer_rounds": rates[peer]},
            )
        )
        figures.append(
            Figure(
                f"processor time an order, against {peer.title()}",
                parts[US]["all"],
                "µs",
                against=(peer.title(), parts[peer]["all"]),
                lower=True,
                spread=[each["all"] for each in spent[US]],
                details={"ours": parts[US], "peer": parts[peer]},
            )
        )
    return figures
