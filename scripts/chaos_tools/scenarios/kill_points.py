"""Kills at the worst moment, which is prolonged and observed first; a leader without a broker."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from random import Random

from chaos_tools import process_specs
from chaos_tools.checks import queries, resources
from chaos_tools.cluster import ChaosCluster
from chaos_tools.scenario import (
    RECOVERY_SECONDS,
    RESTART_SECONDS,
    injection_count,
    repetitions,
    scenario,
)
from devservices import Proxy, free_port, wait_until
from devservices.reaper import send_signal
from supervisor.api_client import ApiClient

KILLS = 100
VICTIMS = 3  # in turns: one starts while another is killed
SHARE = 0.9  # of the injections has to hit its moment, or the scenario is void
TIMEOUT_SECONDS = 30.0
POLL_SECONDS = 0.01
PAUSE_SECONDS = 1.0
ADDRESS_SECONDS = 10.0  # a leader without a broker is followed by another
ALONE_SECONDS = 1.5

_LEADER = """
select a.client_port, a.pid from leader l join pg_stat_activity a using (pid)
where l.role = 'publisher' and a.datname = current_database()
"""
_AT_WORK = "select max(number) from orders where status = 'cooking' and processed_by = %(name)s"
_READY = """
select exists (select from orders o join order_status_log l on l.order_id = o.id
               where o.number = %(number)s and l.status = 'ready' and l.changed_by = %(name)s)
"""


@scenario(f"kill -9 of an order service between commit and publish, {KILLS} times")
def commit_publish(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """The process that publishes is frozen while an order is placed; then the service is killed.

    At first that is the same process, later a cook's relay has taken over.
    """
    kills = injection_count(KILLS, seconds)
    ports = {f"service_{number}": free_port() for number in range(1, min(VICTIMS, kills) + 1)}
    with cluster.extra_processes(
        {name: process_specs.order_service(port) for name, port in ports.items()}
    ) as services:
        for turn in range(kills):
            name = services[turn % len(services)]
            ApiClient(ports[name]).get("/readyz", TIMEOUT_SECONDS)
            with paused_publisher(cluster):
                number = cluster.generator.place_order_at(ports[name])
                pending = cluster.value(queries.PENDING, number=number)
                cluster.kill(name)
            cluster.report.record_attempt(pending)
    require_hits(cluster)


@scenario(f"kill -9 of a cook between commit and acknowledgement, {KILLS} times", rate_factor=1.5)
def commit_ack(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """A proxy holds back what a cook sends to the broker; then the cook is killed."""
    kills = injection_count(KILLS, seconds)
    victims: list[tuple[str, Proxy]] = []
    with ExitStack() as stack:
        for number in range(1, min(VICTIMS, kills) + 1):
            name, proxy = f"victim_{number}", Proxy(cluster.servers.rabbitmq.address)
            victims.append((name, stack.enter_context(closing(proxy))))
            cook = {name: process_specs.cook(name)}
            stack.enter_context(cluster.extra_processes(cook, RABBITMQ=proxy.address))
        for turn in range(kills):
            name, proxy = victims[turn % len(victims)]
            committed = wait_for_commit(cluster, name, proxy)
            if committed:
                cluster.kill(name)
                proxy.recover()  # what it held back is lost
            cluster.report.record_attempt(committed)
    require_hits(cluster)


@scenario(
    "kill -9 of the process that publishes, about every second",
    expect_no_errors=False,
    recovery=RESTART_SECONDS,
)
def relay_killed(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """The order service or any worker, by the database's table of leaders."""
    for _ in repetitions(seconds, PAUSE_SECONDS):
        time.sleep(random.uniform(0.5, 1.5) * PAUSE_SECONDS)
        found = wait_for_leader(cluster)
        if found is not None:
            cluster.kill(found[0])
        cluster.report.record_attempt(found is not None)
    require_hits(cluster)


@scenario(
    "the process that publishes was started with a wrong address of RabbitMQ",
    recovery=ADDRESS_SECONDS + RECOVERY_SECONDS,
)
def wrong_address(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """Another process leads soon, and events are published as before."""
    stray, wrong = "stray", f"127.0.0.1:{free_port()}"
    service = process_specs.order_service(free_port())
    with cluster.extra_processes({stray: service}, RABBITMQ=wrong):
        wait_until(lambda: cluster.log_count("service_started", stray), TIMEOUT_SECONDS)
        with cluster.probe() as probe:
            make_leader(cluster, stray)
            probe.arrives(2 * ADDRESS_SECONDS)
            time.sleep(seconds / 2)
            cluster.report.record_latency(
                "an event published, the leader being without a broker",
                max(probe.latencies()),
                ADDRESS_SECONDS,
            )
        leader = wait_for_leader(cluster)
        if leader is None or leader[0] == stray:
            cluster.report.fail(f"in the end {leader[0] if leader else 'no process'} leads")


def wait_for_commit(cluster: ChaosCluster, name: str, proxy: Proxy) -> bool:
    """Wait until a cook has an order ready whose acknowledgement is held back at the proxy.

    The proxy falls silent while the order is still cooking, so the acknowledgement, which comes
    after the commit, cannot have passed. False when no such moment came.
    """

    def committed() -> bool:
        number = cluster.value(_AT_WORK, name=name)
        if number is None:
            return False
        proxy.blackhole(to_client=False)
        ready = lambda: cluster.value(_READY, number=number, name=name)  # noqa: E731
        if cluster.value(_AT_WORK, name=name) == number and wait_until(
            ready, TIMEOUT_SECONDS, POLL_SECONDS
        ):
            return True
        proxy.resume()
        return False

    return wait_until(committed, TIMEOUT_SECONDS, POLL_SECONDS)


@contextmanager
def paused_publisher(cluster: ChaosCluster) -> Iterator[None]:
    """Freeze the process of the leading relay in the block, without its children."""
    found = wait_for_leader(cluster)
    if found is None:
        yield
        return
    send_signal(found[1], signal.SIGSTOP)
    try:
        yield
    finally:
        send_signal(found[1], signal.SIGCONT)


def wait_for_leader(cluster: ChaosCluster) -> tuple[str, int] | None:
    """Name and pid of the process that publishes; None if no process does for TIMEOUT_SECONDS."""

    def leader() -> tuple[str, int] | None:
        session = leader_session(cluster)
        return resources.connection_owner(cluster, session[0]) if session else None

    return wait_until(leader, TIMEOUT_SECONDS, POLL_SECONDS)


def leader_session(cluster: ChaosCluster) -> tuple[int, int] | None:
    """The database session of the leading publisher: its client's port, and the server's pid.

    None when no process leads.
    """
    rows = cluster.rows(_LEADER)
    return (rows[0][0], rows[0][1]) if rows else None


def make_leader(cluster: ChaosCluster, name: str) -> None:
    """End the leader's session while all other processes are frozen, so that `name` leads.

    A process that does not want to lead has ALONE_SECONDS for that.
    """
    session = leader_session(cluster)
    cluster.report.record_attempt(session is not None)
    others = [other for other in cluster.processes if other != name]
    for other in others:
        cluster.freeze(other)
    try:
        if session is not None:
            cluster.rows("select pg_terminate_backend(%(pid)s)", pid=session[1])
        wait_until(lambda: leader_session(cluster) not in (None, session), ALONE_SECONDS)
    finally:
        for other in others:
            cluster.thaw(other)


def require_hits(cluster: ChaosCluster) -> None:
    """Fail the scenario if too few injections hit their moment."""
    report = cluster.report
    if report.hits < SHARE * report.aimed:
        report.fail(f"only {report.hits} of {report.aimed} injections hit their moment")
