"""Processes that are killed, frozen or restarted while they work, or whose clock is wrong."""

import json
import signal
import time
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from itertools import cycle
from pathlib import Path
from random import Random

from chaos_tools import process_specs
from chaos_tools.cluster import ChaosCluster
from chaos_tools.process_specs import LEASE_SECONDS
from chaos_tools.scenario import RESTART_SECONDS, injection_count, repetitions, scenario
from chaos_tools.workload.external_messages import takeout_order
from chaos_tools.workload.order_generator import new_key
from devservices import repeating, wait_until
from devservices.proc import command_of
from devservices.reaper import descendants, send_signal
from devservices.server import PrivateServer
from pizza.domain.estimate import FACTORS
from pizza.domain.stations import STATION_NAMES
from supervisor.api_client import HTTP_ERRORS, ApiClient

PAUSE_SECONDS = 2.0
TIMEOUT_SECONDS = 30.0
HEARTBEATS = 30

HOUR_SECONDS = 3600
CURABLE_SECONDS = 60.0
CLOCK_SECONDS = 60.0
CLOCK_POLL_SECONDS = 0.1
SKEWED_CLOCK = Path(__file__).with_name("skewed_clock")

ORDER_SECONDS = 0.2
RETRY_SECONDS = 0.5
REQUEST_SECONDS = 10.0
TRIES = 2

SLOW = "slow_cook"
# The first order of a cook, once it is ready: how often it was begun, and which cook finished it.
_FIRST = """
select o.number, count(*) filter (where l.status = 'cooking'),
       max(l.changed_by) filter (where l.status = 'ready')
from orders o join order_status_log l on l.order_id = o.id
where o.id = (select order_id from order_status_log
              where status = 'cooking' and changed_by = %(name)s order by changed_at limit 1)
group by o.number having bool_or(l.status = 'ready')
"""


def kill_in_turn(cluster: ChaosCluster, random: Random, names: list[str], seconds: float) -> None:
    """kill -9 one of these every two seconds, at no moment in particular."""
    for _ in repetitions(seconds, PAUSE_SECONDS):
        time.sleep(random.uniform(0.5, 1.5) * PAUSE_SECONDS)
        cluster.kill(random.choice(names))


@scenario(
    "kill -9 of a cook every 2 s, for a minute and 500 orders", duration_factor=2.0, rate_factor=1.4
)
def cooks(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """Each is restarted under the same name."""
    kill_in_turn(cluster, random, cluster.cooks, seconds)


@scenario("kill -9 of a station every 2 s")
def stations(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """Quality, packaging and the courier, each of them alone at its station."""
    kill_in_turn(cluster, random, list(STATION_NAMES), seconds)


@scenario(
    "kill -9 of the order service, or of one of its HTTP workers",
    expect_no_errors=False,
    recovery=RESTART_SECONDS,
)
def order_service(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """By turns the process that publishes and one of those that answer."""
    for turn in repetitions(seconds, PAUSE_SECONDS):
        time.sleep(random.uniform(0.5, 1.5) * PAUSE_SECONDS)
        workers = http_workers(cluster.processes["service"].process.pid)
        if turn % 2 and workers:
            send_signal(random.choice(workers), signal.SIGKILL)
            cluster.record_recovery()
        else:
            cluster.kill("service")


@scenario("SIGSTOP of a cook past its lease, then SIGCONT")
def frozen_cook(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """After SIGCONT it still has an order that another cook has finished."""
    past = LEASE_SECONDS * 2.0
    for _ in repetitions(seconds, past):
        name = random.choice(cluster.cooks)
        cluster.freeze(name)
        time.sleep(past)
        cluster.thaw(name)
        time.sleep(random.uniform(0.5, 1.5))


@scenario("all processes were started before both servers", start_late=True, expect_no_errors=False)
def servers_late(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """First neither server is there, then one of them, then both."""
    servers: list[PrivateServer] = [cluster.servers.postgres, cluster.servers.rabbitmq]
    random.shuffle(servers)
    for server in servers:
        time.sleep(seconds / 3)
        server.start()
    cluster.record_recovery()
    time.sleep(seconds / 3)


@scenario(
    "one order cooks for 30 heartbeats of the broker; with --full for 5 minutes", full_seconds=300.0
)
def long_cook(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """The broker keeps a busy cook's connection: the order has one cook, and is ready once."""
    heartbeat = max(1, round(seconds / HEARTBEATS))
    with cluster.extra_processes(
        {SLOW: process_specs.cook(SLOW, seconds / min(FACTORS.values()), heartbeat)}
    ):
        first = lambda: cluster.rows(_FIRST, name=SLOW)  # noqa: E731
        done = wait_until(first, TIMEOUT_SECONDS + 2 * seconds, 0.2)
        cluster.report.record_attempt(bool(done))
    if not done:
        cluster.report.fail(f"{SLOW} never had an order ready")
    elif done[0][1:] != (1, SLOW):
        cluster.report.fail(f"{done[0][0]} was taken from {SLOW} while it cooked")


@scenario(
    "the clock of one process is an hour off", expect_no_errors=False, recovery=RESTART_SECONDS
)
def clock(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """One after the other: the order service, a cook, a station, tracking, the subscriber."""
    names = ["service", random.choice(cluster.cooks), "quality", "tracking", "subscriber"]
    names = names[: injection_count(len(names), seconds)]
    for name in names:
        path = f"{SKEWED_CLOCK}:{cluster.environment['PYTHONPATH']}"
        off = random.choice((-HOUR_SECONDS, HOUR_SECONDS))
        cluster.kill(name, {"PYTHONPATH": path, "CHAOS_CLOCK_SECONDS": str(off)})
        cluster.report.record_attempt(logs_skewed_time(cluster, name, off))
        time.sleep(seconds / len(names))
        cluster.kill(name, {})
    if cluster.report.hits < cluster.report.aimed:
        cluster.report.fail("a clock was not off, by the log of its process")


# Clients may have to repeat a request once, so their answers are checked here.
@scenario(
    "every process is stopped by SIGTERM and restarted, one after the other", expect_no_errors=False
)
def rolling_restart(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """A new order service starts before the old one stops. No request fails more than once."""
    names = random.sample(list(cluster.processes), len(cluster.processes))
    names.sort(key=lambda name: name != "service")
    until = time.monotonic() + seconds
    client = ApiClient(cluster.port)
    failures: dict[str, list[str]] = {}  # by the key of the order

    def place_order() -> None:
        key = new_key(random)
        reasons = failures.setdefault(key, [])
        while len(reasons) < TRIES and (reason := refusal(client, key)):
            reasons.append(reason)
            time.sleep(RETRY_SECONDS)

    with repeating(place_order, ORDER_SECONDS):
        for turn, name in enumerate(cycle(names)):
            if turn and time.monotonic() > until:
                break
            cluster.restart(name)
            cluster.report.record_attempt(True)
    repeated = sum(bool(reasons) for reasons in failures.values())
    print(f"  {len(failures)} orders with one retry each; that was needed {repeated} times.")
    for key, reasons in failures.items():
        if len(reasons) == TRIES:
            cluster.report.fail(f"failed twice: {key}: {', then '.join(reasons)}")


def http_workers(pid: int) -> list[int]:
    """The processes of an order service in which requests are answered."""
    return [each for each in descendants(pid) if "spawn_main" in command_of(each)]


def logs_skewed_time(cluster: ChaosCluster, name: str, off: float) -> bool:
    """Whether the log of a process soon has the wrong time. off: seconds."""
    log = cluster.folder / f"{name}.log"

    def is_off() -> bool:
        with suppress(IndexError, ValueError, KeyError):
            said = json.loads(log.read_text().splitlines()[-1])["timestamp"]
            found = (datetime.fromisoformat(said) - datetime.now(UTC)).total_seconds()
            return abs(found - off) < CURABLE_SECONDS
        return False

    return wait_until(is_off, CLOCK_SECONDS, CLOCK_POLL_SECONDS)


def refusal(client: ApiClient, key: str) -> str:
    """Try once to place an order: what was wrong; nothing if it was accepted."""
    order = takeout_order(f"Patient {key}")
    try:
        status = client.request("POST", "/orders", order, key, REQUEST_SECONDS).status
    except HTTP_ERRORS as error:
        return type(error).__name__
    return "" if status == HTTPStatus.CREATED else str(status)
