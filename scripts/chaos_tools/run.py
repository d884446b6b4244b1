"""One scenario, from the start of the cluster to the report."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import psycopg

from benchmarks.environment import empty_broker, fresh_database
from chaos_tools.checks import queries, resources
from chaos_tools.checks.results import (
    DRAIN_SECONDS,
    check_times,
    delivered_count,
    fill_report,
    remaining_count,
)
from chaos_tools.cluster import ChaosCluster
from chaos_tools.process_specs import SUBSCRIBER
from chaos_tools.report import Report
from chaos_tools.scenario import Scenario
from chaos_tools.workload.order_generator import OrderGenerator
from devservices import Servers, repeating, wait_until
from pizza.taskqueue.topology import DEAD_LETTER_QUEUE
from pizza.topology import subscriber_queue
from supervisor.api_client import ApiClient, ApiError
from terminal.progress import step

OPENING_SECONDS = 60.0
TIMEOUT_SECONDS = 60.0  # without any progress
POLL_SECONDS = 0.3
CLERK = "chaos_clerk"
HAND_OVER_SECONDS = 2.0
_WAITING = "select number from orders where stage = 'handover' and status = 'ready' order by number"


@dataclass(frozen=True)
class RunOptions:
    """seconds: length of a scenario; rate: orders a second; warm_up: seconds before and after it.

    full: use the scenario's full_seconds.
    """

    seed: int = 1
    seconds: float = 30.0
    rate: float = 6.0
    warm_up: float = 3.0
    full: bool = False
    retry_unanswered: bool = True

    def for_scenario(self, scenario: Scenario) -> "RunOptions":
        """The same, with the factors of this scenario applied."""
        seconds = self.seconds * scenario.duration_factor
        if self.full and scenario.full_seconds is not None:
            seconds = scenario.full_seconds
        return replace(self, seconds=seconds, rate=self.rate * scenario.rate_factor)


def run_scenario(servers: Servers, folder: Path, scenario: Scenario, options: RunOptions) -> Report:
    """Run one scenario on running servers; they run again afterwards."""
    options = options.for_scenario(scenario)
    random = Random(f"{scenario.name} {options.seed}")
    report = Report(scenario.name, options.seed, options.seconds)
    with chaos_cluster(servers, folder / scenario.name, scenario, report) as cluster:
        generator = cluster.generator = OrderGenerator(
            cluster.port, random, options.rate, options.retry_unanswered
        )
        try:
            with step(f"{scenario.name}: starting"):
                start_cluster(cluster, scenario)
            generator.start()
            with hand_over_orders(cluster):
                with step(f"{scenario.name}: {scenario.description}"):
                    time.sleep(options.warm_up)
                    before = None if scenario.start_late else resources.sample_when_steady(cluster)
                    scenario.run(cluster, random, options.seconds)
                    cluster.recover()
                    report.drained = drain(cluster)
                    time.sleep(max(0.0, options.warm_up - report.drained))
                with step(f"{scenario.name}: waiting until all orders are delivered"):
                    generator.stop()
                    wait_until_done(cluster, generator)
                    report.grown = resources.grown(cluster, before) if before else []
        finally:
            generator.abort()
        report.unanswered = generator.unanswered
        report.failures[:0] = generator.failures
        fill_report(cluster, generator.accepted, rate=options.rate)
        check_times(report, scenario, generator.responses)
    report.non_json_lines = cluster.non_json_lines()
    return report


@contextmanager
def chaos_cluster(
    servers: Servers, folder: Path, scenario: Scenario, report: Report
) -> Iterator[ChaosCluster]:
    """A cluster on a fresh database and an empty broker; it recovers and is closed at the end."""
    name = f"chaos_{scenario.name.replace('-', '_')}_{time.time_ns()}"
    with fresh_database(servers, name) as url:
        queue = subscriber_queue(SUBSCRIBER)
        empty_broker(servers.rabbitmq.address, [queue.name, DEAD_LETTER_QUEUE])
        cluster = ChaosCluster(servers, url, folder, report, use_proxy=scenario.use_proxy)
        try:
            with cluster.broker_channel() as channel:
                queue(channel).declare()  # nothing is lost before the subscriber starts
            if scenario.start_late:
                servers.stop()
            yield cluster
        finally:
            cluster.recover()
            cluster.close()


def start_cluster(cluster: ChaosCluster, scenario: Scenario) -> None:
    """Start all processes, and wait until they work unless the servers start late."""
    cluster.start()
    if scenario.start_late:
        return
    client = ApiClient(cluster.port)
    flag = "--mode=kitchen-worker"
    workers = sum(flag in managed.command for managed in cluster.processes.values())
    online = "select count(*) from workers where status = 'online'"
    if not wait_until(
        lambda: cluster.value(online) >= workers and is_ready(client), OPENING_SECONDS, POLL_SECONDS
    ):
        raise ApiError(f"The restaurant did not open; see {cluster.folder}.")


def is_ready(client: ApiClient) -> bool:
    """Whether GET /readyz answers `ready`."""
    with suppress(ApiError):
        return bool(client.get("/readyz", OPENING_SECONDS)["status"] == "ready")
    return False


def hand_over_orders(cluster: ChaosCluster) -> AbstractContextManager[None]:
    """Hand dine-in and takeout orders over that are ready, in a thread, for the time of a block."""
    client = ApiClient(cluster.port)

    def hand_over() -> None:
        # The service or the database may be away; the next round repeats what failed.
        with suppress(ApiError, psycopg.Error):
            for (number,) in cluster.rows(_WAITING):
                client.post(f"/orders/{number}/deliver", {"by": CLERK}, HAND_OVER_SECONDS)

    return repeating(hand_over, POLL_SECONDS)


def drain(cluster: ChaosCluster) -> float:
    """Seconds from the last recovery until the messages that waited then are sent."""
    moment, began = cluster.recovered[-1], time.monotonic()
    wait_until(lambda: not cluster.value(queries.UNSENT, moment=moment), 2 * DRAIN_SECONDS)
    return time.monotonic() - began


def wait_until_done(cluster: ChaosCluster, generator: OrderGenerator) -> None:
    """Wait until nothing is left to do; give up after TIMEOUT_SECONDS without progress."""
    least, moved = -1, time.monotonic()
    while left := remaining_count(cluster, generator.accepted):
        if left != least:
            least, moved = left, time.monotonic()
        if time.monotonic() - moved > TIMEOUT_SECONDS:
            delivered = delivered_count(cluster)
            print(f"  {left} things to do are left; {delivered} orders are delivered.")
            return
        time.sleep(POLL_SECONDS)
