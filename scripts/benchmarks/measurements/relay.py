"""The relay alone: an outbox of tasks and events, published with confirms until it is empty."""

import time
from statistics import median

from benchmarks.environment import BenchCluster, BenchEnvironment
from benchmarks.results import MeasurementFailed, Result
from pizza.app import start_relay
from terminal.progress import step

MESSAGES, GOAL = 20_000, 6000

# As an order writes them: a task for the kitchen, a notification behind it.
_FILL = """
select outbox_enqueue_task(gen_random_uuid(), 'cook_order', 'kitchen_takeout_queue', 'orders_topic',
                   'kitchen.takeout.1', 1 + n %% 10, decode(repeat('7b', 300), 'hex')),
       outbox_enqueue_event(gen_random_uuid(), 'notifications_fanout', 'order.received',
                    decode(repeat('7b', 300), 'hex'))
from generate_series(1, %s) as n
"""
_PENDING = "select count(*) from message where state = 'pending'"
_ANY = "select exists (select from message where state = 'pending')"


def measure(environment: BenchEnvironment, quick: bool) -> list[Result]:
    """Messages a second, from the first confirmed batch to the empty outbox."""
    rounds = 1 if quick else 3
    found = []
    for turn in range(rounds):
        what = f"Relay: {MESSAGES} messages, round {turn + 1} of {rounds}"
        with step(what), environment.cluster("relay") as cluster:
            found.append(_drain(cluster))
    rates = [rate for rate, _ in found]
    cpu = round(median(micros for _, micros in found))
    name = f"relay, backlog of {MESSAGES:,}"
    details = {"relay_cpu_us_per_message": cpu}
    return [Result(name, median(rates), "messages/s", GOAL, spread=rates, details=details)]


def _drain(cluster: BenchCluster) -> tuple[float, float]:
    """Publish a full outbox: messages a second, and the relay's processor time for one."""
    cluster.conn.execute(_FILL, (MESSAGES // 2,))
    cluster.conn.execute("vacuum analyze message")
    relay = start_relay(cluster.settings)
    try:
        left = MESSAGES
        while left == MESSAGES:
            time.sleep(0.005)
            left = int(cluster.value(_PENDING))
        began, used = time.perf_counter(), time.process_time()
        cluster.wait_until(lambda: not cluster.value(_ANY), "the relay", pause=0.02)
        took, used = time.perf_counter() - began, time.process_time() - used
    finally:
        relay.stop(3)
    sent = cluster.value("select count(*) from message where state = 'sent'")
    if sent != MESSAGES // 2:
        raise MeasurementFailed(f"{sent} of {MESSAGES // 2} tasks were sent.")
    return left / took, used * 1e6 / left
