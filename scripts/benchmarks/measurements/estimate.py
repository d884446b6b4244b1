"""How good the estimated completion is: a simulated lunch, and what really happened."""

import random
import time
from datetime import datetime

from benchmarks.environment import BenchCluster, BenchEnvironment
from benchmarks.results import MeasurementFailed, Result, at_most, percentile
from benchmarks.sample_orders import WHERE
from supervisor.api_client import ApiClient
from terminal.progress import step

COOKS, COOKING = 3, 0.5
WARM_UP, LUNCH = 12, 90
GOAL_PERCENT = 25
# Beyond what three cooks can do, as at lunch; then less, so that the line gets shorter again.
RUSH_RATE, SLOW_RATE = 9.0, 4.0

_READY = "select completed_at from orders where number = %s and status = 'ready'"
_PACE = "select count(*) from cooking_time_avg where seconds < 3"


def measure(environment: BenchEnvironment, quick: bool) -> list[Result]:
    """The error of the estimate in the answer to POST, as a share of the whole wait."""
    orders = LUNCH // 2 if quick else LUNCH
    with environment.cluster("estimate") as cluster:
        with step("Estimates: opening, first orders to measure by"):
            cluster.start_order_service()
            cluster.start_cooks(COOKS, seconds=COOKING)
            client = ApiClient(cluster.port, cluster.check)
            for turn in range(WARM_UP):
                _place(client, turn)
            cluster.wait_until(lambda: cluster.value(_PACE) == 3, "a measured pace")
        with step(f"Estimates: a lunch of {orders} orders"):
            random.seed(7)
            estimated = {}
            for turn in range(orders):
                number, moment = _place(client, WARM_UP + turn)
                estimated[number] = moment
                rate = RUSH_RATE if turn < orders * 2 // 3 else SLOW_RATE
                time.sleep(random.expovariate(rate))
        left = "select exists (select from orders where status <> 'ready')"
        cluster.wait_until(lambda: not cluster.value(left), "the last order")
        errors = [_error(cluster, number, *moments) for number, moments in estimated.items()]
    details = {"orders": orders, "cooks": COOKS, "p90_percent": round(percentile(errors, 90), 1)}
    work = "error of the estimate, median of the wait"
    return [
        at_most(work, percentile(errors, 50), "%", GOAL_PERCENT, details=details),
        Result("error of the estimate, 90th percentile", percentile(errors, 90), "%"),
    ]


def _place(client: ApiClient, turn: int) -> tuple[str, tuple[datetime, datetime]]:
    """Place one order: its number, when it was placed, and when it should be ready."""
    order_type = list(WHERE)[turn % len(WHERE)]
    order = {
        "customer_name": f"Lunch customer {turn}",
        "items": [{"name": "Pizza", "quantity": 1, "price": 9.5}],
        "rush": turn % 7 == 0,
        "order_type": order_type,
        **WHERE[order_type],
    }
    answer = client.post("/orders", order)
    if answer["estimated_completion"] is None:
        raise MeasurementFailed(f"{answer['order_number']} has no estimate.")
    times = (answer["created_at"], answer["estimated_completion"])
    placed, estimated = (datetime.fromisoformat(moment) for moment in times)
    return answer["order_number"], (placed, estimated)


def _error(cluster: BenchCluster, number: str, placed: datetime, estimated: datetime) -> float:
    """By how many percent of the whole wait the estimate was wrong."""
    ready: datetime = cluster.value(_READY, number)
    return 100 * abs((estimated - ready).total_seconds()) / (ready - placed).total_seconds()
