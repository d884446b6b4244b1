"""What the scenarios measure with can see: each finds what it is there for, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import amqp
import psycopg
import pytest
from kombu import Connection

from benchmarks.results import percentile
from chaos_tools.checks import queues
from chaos_tools.checks.latency_probe import LatencyProbe
from chaos_tools.checks.results import check_times, fill_report
from chaos_tools.cluster import ChaosCluster
from chaos_tools.report import Latency, Report
from chaos_tools.scenario import Scenario
from chaos_tools.scenarios import messages
from chaos_tools.scenarios.kill_points import leader_session
from chaos_tools.scenarios.messages import ExternalMessage
from chaos_tools.workload import sample_tasks
from chaos_tools.workload.external_messages import ANOMALIES, customer_of, order
from devservices import Servers
from pizza.app import start_relay
from pizza.config.settings import Settings
from pizza.processes.setup import setup_queues

from ..support.waiting import wait_until

QUEUE = "test_chaos_scenarios"


@pytest.fixture
def cluster(servers: Servers, db_url: str, tmp_path: Path) -> Iterator[ChaosCluster]:
    """A restaurant in which nothing runs."""
    setup_queues(servers.rabbitmq.url)
    found = ChaosCluster(servers, db_url, tmp_path / "logs", Report("none", 1, 0.0))
    yield found
    found.close()


@pytest.fixture
def channel(servers: Servers) -> Iterator[amqp.Channel]:
    """A channel with an empty queue named QUEUE."""
    with Connection(servers.rabbitmq.url, transport_options={"confirm_publish": True}) as link:
        channel = link.channel()
        channel.queue_declare(QUEUE, auto_delete=False)
        yield channel
        channel.queue_delete(QUEUE)


@contextmanager
def publishing(cluster: ChaosCluster) -> Iterator[None]:
    """A publisher in this process, for the time of the block."""
    settings = Settings(
        mode="order-service", db_url=cluster.db_url, rabbitmq=cluster.servers.rabbitmq.address
    )
    relay = start_relay(settings)
    try:
        yield
    finally:
        relay.stop(10)


def nothing_happens(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    pass


def test_the_percentile_is_the_nearest_rank() -> None:
    assert math.isnan(percentile([], 99))
    assert percentile([0.3], 99) == 0.3
    assert percentile([float(n) for n in range(100, 0, -1)], 99) == 99
    assert percentile([0.1] * 98 + [9.0] * 2, 99) == 9


def test_a_latency_beyond_its_limit_is_late_and_one_within_it_is_not(cluster: ChaosCluster) -> None:
    cluster.report.record_latency("events published", 0.4, 0.5)
    cluster.report.record_latency("orders begun", 0.6, 0.5)
    report = fill_report(cluster, [])
    check_times(report, Scenario("none", "", nothing_happens), [])
    assert report.late == ["orders begun after 0.60 s, limit 0.5 s"]
    assert not report.good
    assert report.as_json()["latencies"][0] == {
        "what": "events published",
        "seconds": 0.4,
        "limit": 0.5,
    }


def test_tasks_without_an_effect_are_lost_and_with_two_are_doubled(cluster: ChaosCluster) -> None:
    sample_tasks.create_table(cluster)
    none, one, two = sample_tasks.send(cluster, 3)
    with psycopg.connect(cluster.db_url) as conn:
        for id in (one, two, two):
            conn.execute(
                "insert into chaos_effect (message_id, attempt, sent_at) "
                "values (%s, 1, clock_timestamp() - interval '3 s')",
                [id],
            )
        conn.execute("delete from message")
    sample_tasks.record_results(cluster, [none, one, two])
    report = fill_report(cluster, [])
    assert report.lost == [f"task {none}"]
    assert report.doubled == [f"task {two}"]
    assert not sample_tasks.all_recorded(cluster, [none, one, two])
    assert sample_tasks.all_recorded(cluster, [one, two])
    assert sample_tasks.effects(cluster, [none, one]) == {
        none: [],
        one: [pytest.approx(3, abs=1)],
    }


def test_a_worker_of_the_scenarios_own_has_each_effect_once(cluster: ChaosCluster) -> None:
    with publishing(cluster), sample_tasks.workers(cluster, "w1", "w2"):
        ids = sample_tasks.send(cluster, 20) + sample_tasks.send(cluster, hold=0.1)
        wait_until(lambda: sample_tasks.all_recorded(cluster, ids), 10, "all have had their effect")
    sample_tasks.record_results(cluster, ids)
    assert not cluster.report.lost
    assert not cluster.report.doubled
    assert cluster.log_count("chaos_transaction_open") == 1
    assert not cluster.non_json_lines()


def test_the_probe_sees_a_publisher_that_stands_still(
    cluster: ChaosCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LatencyProbe, "LAST_SECONDS", 0.1)
    with publishing(cluster), cluster.probe(batch=3) as probe:
        assert probe.arrives(20)
        wait_until(lambda: len(probe.latencies()) >= 30, 10, "enough events")
    assert max(probe.latencies()) < 30
    monkeypatch.setattr(LatencyProbe, "WARM_UP_SECONDS", 0.1)
    with cluster.probe() as probe:
        assert not probe.arrives(0.3)
        wait_until(lambda: max(probe.latencies()) > 0.5, 10, "the events wait")


def test_what_leaves_a_queue_without_a_consumer_is_counted(
    cluster: ChaosCluster, channel: amqp.Channel
) -> None:
    for _ in range(7):
        channel.basic_publish_confirm(amqp.Message(b"{}"), "", QUEUE)
    with queues.monitor_depth(cluster, QUEUE) as monitor:
        wait_until(lambda: monitor.depth == 7, 5, "the monitor has seen the queue")
        assert queues.depth(cluster, QUEUE) == 7
        assert monitor.removed == 0
        channel.queue_purge(QUEUE)
        wait_until(lambda: monitor.removed, 5, "the monitor has seen the purge")
    assert monitor.removed == 7
    assert queues.depth(cluster, "no such queue") == 0


def test_messages_that_are_read_stay_in_their_queue(
    cluster: ChaosCluster, channel: amqp.Channel
) -> None:
    for number in range(3):
        channel.basic_publish_confirm(amqp.Message(str(number)), "", QUEUE)
    for _ in range(2):
        assert [int(message.body) for message in queues.read(cluster, QUEUE)] == [0, 1, 2]


def test_the_leader_is_found_by_the_table_of_leaders(cluster: ChaosCluster) -> None:
    with psycopg.connect(cluster.db_url, autocommit=True) as conn:
        # The server names the port of the client's end.
        own = conn.execute(
            "select client_port, pid from pg_stat_activity where pid = pg_backend_pid()"
        ).fetchone()
        conn.execute("drop table if exists leader")
        conn.execute("create table leader (role text primary key, pid integer)")
        conn.execute("insert into leader values ('keeper', pg_backend_pid()), ('publisher', 0)")
        assert leader_session(cluster) is None
        conn.execute("update leader set pid = pg_backend_pid() where role = 'publisher'")
        assert leader_session(cluster) == own


def test_every_odd_message_is_taken_by_rabbitmq_and_names_its_customer(
    channel: amqp.Channel,
) -> None:
    for number, anomaly in enumerate(ANOMALIES):
        channel.basic_publish_confirm(anomaly.message(f"Odd {number}"), "", QUEUE)
    assert channel.queue_declare(QUEUE, passive=True).message_count == len(ANOMALIES)
    assert len({anomaly.what for anomaly in ANOMALIES}) == len(ANOMALIES)
    assert customer_of(order("Ada")) == "Ada"
    assert customer_of(b'"chaos event 7"') is customer_of(b"{") is None


def test_a_header_with_milliseconds_is_what_py_amqp_cannot_read(
    servers: Servers, channel: amqp.Channel
) -> None:
    (odd,) = (each for each in ANOMALIES if each.what == "header: timestamp in milliseconds")
    channel.basic_publish_confirm(odd.message("Ada"), "", QUEUE)
    with Connection(servers.rabbitmq.url) as link, pytest.raises(ValueError, match="year"):
        link.channel().basic_get(QUEUE)


def test_a_foreign_message_is_lost_unless_it_is_an_order_or_a_dead_letter_with_a_reason(
    cluster: ChaosCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(cluster.db_url) as conn:
        conn.execute(
            "insert into orders (number, customer_name, customer_key, type, total_amount) "
            "values ('ORD_20261125_001', 'Order', 'Order', 'takeout', 9.5)"
        )
    letters = [(order("Dead"), "quantity is 0"), (order("Mute"), "")]
    monkeypatch.setattr(messages, "dead_letters", lambda _: letters)
    external = [
        ExternalMessage(name, "q", "order", amqp.Message())
        for name in ("Order", "Dead", "Mute", "Gone")
    ]
    assert [each.customer for each in messages.lost(cluster, external)] == ["Mute", "Gone"]


def test_a_latency_reads_as_a_sentence() -> None:
    assert str(Latency("events", 1.0, 0.5)) == "events after 1.00 s, limit 0.5 s"
