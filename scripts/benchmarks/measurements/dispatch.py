"""How long an order waits for an idle cook, by the database's clock."""

from benchmarks import load
from benchmarks.environment import BenchEnvironment
from benchmarks.results import Result, at_most, latencies, median_ms
from terminal.progress import step

COOKS, RATE = 3, 10.0
GOAL_P50_MS, GOAL_P99_MS = 3, 15
STATEMENTS = 40

_TIMES = """
select o.number, extract(epoch from r.changed_at)::float8, extract(epoch from c.changed_at)::float8
from orders o
join order_status_log r on r.order_id = o.id and r.status = 'received'
join order_status_log c on c.order_id = o.id and c.status = 'cooking'
"""


def measure(environment: BenchEnvironment, quick: bool) -> list[Result]:
    """received → cooking in order_status_log, at ten orders a second.

    `received` is taken before the order is committed, so its commit is part of the time; what
    passes between the client's 201 and `cooking` is given as well, and its lower bound: how long
    the machine takes for the smallest statement at once after another, and after a rest.
    """
    seconds = 8.0 if quick else 30.0
    with environment.cluster("dispatch") as cluster:
        with step(f"Dispatch: opening, {COOKS} cooks"):
            cluster.start_order_service()
            cluster.start_cooks(COOKS)
        load.paced(cluster.port, RATE, 1.0)
        with step(f"Dispatch: {RATE:.0f} orders a second"):
            answers = load.paced(cluster.port, RATE, seconds)
        left = "select exists (select from orders where status <> 'ready')"
        cluster.wait_until(lambda: not cluster.value(left), "the last order")
        select = lambda: cluster.conn.execute("select 1").fetchone()  # noqa: E731
        at_once, rested = (
            round(median_ms(select, STATEMENTS, rest), 3) for rest in (0.0, 1 / RATE)
        )
        rows = [row for row in cluster.conn.execute(_TIMES).fetchall() if row[0] in answers]
    waited = [(cooking - received) * 1000 for _, received, cooking in rows]
    after = [(cooking - answers[number][1]) * 1000 for number, _, cooking in rows]
    found = latencies(waited)
    details = found | {
        "orders": len(rows),
        "answer_to_cooking": latencies(after),
        "post_to_answer": latencies([answer[0] for answer in answers.values()]),
        "select_1_ms": {"at_once": at_once, "after_a_rest": rested},
    }
    name = f"received → cooking at {RATE:.0f} orders/s"
    rest = f"`select 1` after a rest of {1 / RATE:g} s"
    return [
        at_most(f"{name}, p50", found["p50_ms"], "ms", GOAL_P50_MS, details=details),
        at_most(f"{name}, p99", found["p99_ms"], "ms", GOAL_P99_MS),
        Result(rest, rested, "ms", None, lower_is_better=True, baseline=("at once", at_once)),
    ]
