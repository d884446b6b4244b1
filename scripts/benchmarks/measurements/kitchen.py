"""A backlog cooked by us, by Celery and by Dramatiq in turn, all on the same orders and tables.

Counted from the 10 % mark to the last order, by the database's clock, without the
start. Celery and Dramatiq make the same rows with two statements (peers.sql); the relay publishes
the notifications of all three.
"""

from importlib.util import find_spec
from statistics import median

from benchmarks import cpu, sample_orders
from benchmarks.environment import BenchCluster, BenchEnvironment
from benchmarks.peers import kitchens
from benchmarks.results import MeasurementFailed, Result
from pizza.database.connection import BoundedConnection
from pizza.orders import set_capacity
from pizza.orders.orders import place_order
from terminal.progress import step

COOKS = 4
START = 0.1
GIVE_UP_SECONDS = 90.0
US = "pizza"

Spent = dict[str, list[dict[str, float]]]

_READY = "select count(*) from orders where status = 'ready'"
_PENDING = "select exists (select from message where state = 'pending')"
_SECONDS = """
select extract(epoch from max(completed_at) - min(completed_at) filter (where place > %s))::float8
from (select completed_at, row_number() over (order by completed_at) as place from orders) as line
"""


def measure(environment: BenchEnvironment, quick: bool) -> list[Result]:
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

    with environment.template(fill) as backlog:
        # Every other round the other way round: a machine that tires tires for all.
        turns = [(turn, team) for turn in range(rounds) for team in teams[:: (-1) ** turn]]
        for turn, team in turns:
            what = f"Kitchen: {team}, round {turn + 1} of {rounds}"
            with step(what), environment.cluster(team, backlog) as cluster:
                rate, used = _cook(cluster, team, orders)
            rates[team].append(rate)
            spent[team].append(used)
    return _figures(rates, spent)


def _cook(cluster: BenchCluster, team: str, orders: int) -> tuple[float, dict[str, float]]:
    """Have a team cook the backlog: orders a second, and microseconds of processor an order."""
    if team != US:
        kitchens.prepare(cluster, team)
    cluster.start_order_service()
    cluster.wait_until(lambda: not cluster.value(_PENDING), "the relay")
    if team == US:
        cluster.start_cooks(COOKS, wait=False)
    else:
        kitchens.start(cluster, team, COOKS)
    groups = cluster.groups(cooks=cluster.pids("cook"), relay=cluster.pids("service"))
    skipped = int(orders * START)
    ready = lambda: int(cluster.value(_READY))  # noqa: E731
    cluster.wait_until(lambda: ready() >= skipped, "the first orders", 0.01, GIVE_UP_SECONDS)
    first, before = ready(), cpu.snapshot(groups)
    cluster.wait_until(lambda: ready() >= orders, "all orders", 0.05, GIVE_UP_SECONDS)
    used = cpu.per_order(before, cpu.snapshot(groups), orders - first)
    _verify(cluster, orders)
    return (orders - skipped - 1) / cluster.value(_SECONDS, skipped), used


def _verify(cluster: BenchCluster, orders: int) -> None:
    """Each order was received, cooked and made ready once."""
    logged = cluster.value("select count(*) from order_status_log")
    counted = cluster.value("select sum(orders_processed) from workers")
    if (logged, counted) != (3 * orders, orders):
        raise MeasurementFailed(
            f"{orders} orders left {logged} log rows, and the cooks count {counted}."
        )


def _figures(rates: dict[str, list[float]], spent: Spent) -> list[Result]:
    rate = {team: median(found) for team, found in rates.items()}
    parts = {
        team: {name: median(each[name] for each in found) for name in found[0]}
        for team, found in spent.items()
    }
    results = []
    for peer in list(rate)[1:]:
        name, goal = peer.title(), rate[peer] if peer == "celery" else None
        details = {"peer_orders_s": round(rate[peer]), "peer_rounds": rates[peer]}
        results += [
            Result(
                *(f"kitchen, {COOKS} cooks, against {name}", rate[US], "orders/s", goal),
                baseline=(name, rate[peer]),
                spread=rates[US],
                details=details,
            ),
            Result(
                *(f"processor time an order, against {name}", parts[US]["all"], "µs"),
                baseline=(name, parts[peer]["all"]),
                lower_is_better=True,
                spread=[each["all"] for each in spent[US]],
                details={"ours": parts[US], "peer": parts[peer]},
            ),
        ]
    return results
