"""What the scenarios measure with can see: each finds what it is there for, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import amqp
import psycopg
import pytest
from kombu import Connection

from chaos_tools.checks import queues
from chaos_tools.checks.dead_letters import dead_letters
from chaos_tools.checks.latency import Latency, percentile
from chaos_tools.checks.latency_probe import LatencyProbe
from chaos_tools.checks.report import Verdict, judge_times, read
from chaos_tools.cluster import World
from chaos_tools.scenario import Storm
from chaos_tools.scenarios import neighbours
from chaos_tools.scenarios.kill_points import leader_session
from chaos_tools.scenarios.neighbours import Foreign
from chaos_tools.workload import sample_tasks
from chaos_tools.workload.foreign_messages import ODDITIES, customer_of, order
from chaos_tools.workload.responses import Answers
from devservices import Servers
from pizza.app import start_relay
from pizza.config.settings import Settings
from pizza.processes.setup import setup_queues
from pizza.taskqueue.topology import DEAD_LETTER_QUEUE

from ..support.waiting import wait_until

QUEUE = "test_chaos_scenarios"


@pytest.fixture
def world(servers: Servers, db_url: str, tmp_path: Path) -> Iterator[World]:
    """A restaurant in which nothing runs."""
    setup_queues(servers.rabbitmq.url)
    found = World(servers, db_url, tmp_path / "logs")
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
def publishing(world: World) -> Iterator[None]:
    """A publisher in this process, for the time of the block."""
    settings = Settings(
        mode="order-service", db_url=world.db_url, rabbitmq=world.servers.rabbitmq.address
    )
    relay = start_relay(settings)
    try:
        yield
    finally:
        relay.stop(10)


def nothing_happens(world: World, random: Random, seconds: float) -> None:
    pass


def test_the_percentile_is_the_nearest_rank() -> None:
    assert percentile([]) == 0
    assert percentile([0.3]) == 0.3
    assert percentile([float(n) for n in range(100, 0, -1)]) == 99
    assert percentile([0.1] * 98 + [9.0] * 2) == 9


def test_a_latency_beyond_its_limit_is_late_and_one_within_it_is_not(world: World) -> None:
    world.journal.record_latency("events published", 0.4, 0.5)
    world.journal.record_latency("orders begun", 0.6, 0.5)
    verdict = read(world, [], Verdict("none", 1, 0.0))
    judge_times(verdict, Storm("none", "", nothing_happens), Answers())
    assert verdict.late == ["orders begun after 0.60 s, limit 0.5 s"]
    assert not verdict.good
    assert verdict.as_json()["latencies"][0] == {
        "what": "events published", "seconds": 0.4, "limit": 0.5,
    }  # fmt: skip


def test_tasks_without_an_effect_are_lost_and_with_two_are_doubled(world: World) -> None:
    sample_tasks.create_table(world)
    none, one, two = sample_tasks.send(world, 3)
    with psycopg.connect(world.db_url) as conn:
        for id in (one, two, two):
            conn.execute(
                "insert into storm_effect (message_id, worker, attempt, sent_at) "
                "values (%s, 'w', 1, clock_timestamp() - interval '3 s')",
                [id],
            )
        conn.execute("delete from message")
    sample_tasks.judge(world, [none, one, two])
    verdict = read(world, [], Verdict("none", 1, 0.0))
    assert verdict.lost == [f"task {none}"]
    assert verdict.doubled == [f"task {two}"]
    assert sample_tasks.recorded(world, [none, one, two]) == 2
    assert sample_tasks.latencies(world, [one]) == [pytest.approx(3, abs=1)]


def test_a_worker_of_the_scenarios_own_has_each_effect_once(world: World) -> None:
    sample_tasks.create_table(world)
    with publishing(world), sample_tasks.workers(world, "w1", "w2"):
        ids = [*sample_tasks.send(world, 20), sample_tasks.send_holding(world, 0.1)]
        wait_until(
            lambda: sample_tasks.recorded(world, ids) == len(ids), 10, "all have had their effect"
        )
    sample_tasks.judge(world, ids)
    assert not world.journal.lost
    assert not world.journal.doubled
    assert world.logged("storm_transaction_open") == 1
    assert not world.odd_lines()


def test_the_probe_sees_a_publisher_that_stands_still(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chaos_tools.checks.latency_probe.LAST_SECONDS", 0.1)
    with publishing(world), LatencyProbe(world, batch=3) as probe:
        assert probe.arrives(20)
        wait_until(lambda: len(probe.latencies()) >= 30, 10, "enough events")
    assert max(probe.latencies()) < 30
    monkeypatch.setattr("chaos_tools.checks.latency_probe.WARM_UP_SECONDS", 0.1)
    with LatencyProbe(world) as probe:
        assert not probe.arrives(0.3)
        wait_until(lambda: max(probe.latencies()) > 0.5, 10, "the events wait")


def test_what_leaves_a_queue_without_a_consumer_is_counted(
    world: World, channel: amqp.Channel
) -> None:
    for _ in range(7):
        channel.basic_publish_confirm(amqp.Message(b"{}"), "", QUEUE)
    with queues.DepthMonitor(world, QUEUE) as monitor:
        wait_until(lambda: monitor.depth == 7, 5, "the monitor has seen the queue")
        assert queues.depth(world, QUEUE) == 7
        assert monitor.thrown_away == 0
        queues.purge(world, QUEUE)
        wait_until(lambda: monitor.thrown_away, 5, "the monitor has seen the purge")
    assert monitor.thrown_away == 7
    assert queues.depth(world, "no such queue") == 0


def test_messages_that_are_read_stay_in_their_queue(world: World, channel: amqp.Channel) -> None:
    for number in range(3):
        channel.basic_publish_confirm(amqp.Message(str(number)), "", QUEUE)
    for _ in range(2):
        assert [int(message.body) for message in queues.read(world, QUEUE)] == [0, 1, 2]


def test_the_leader_is_found_by_the_table_of_leaders_or_else_by_the_lock(world: World) -> None:
    with psycopg.connect(world.db_url, autocommit=True) as conn:
        conn.execute("drop table if exists leader")
        assert leader_session(world) is None
        port, pid = conn.execute(
            "select inet_client_port(), pg_backend_pid() from pg_advisory_lock(7020001)"
        ).fetchone() or (0, 0)
        # The server names the port of the client's end.
        (client,) = conn.execute(
            "select client_port from pg_stat_activity where pid = pg_backend_pid()"
        ).fetchone() or (0,)
        assert leader_session(world) == (client, pid) == (port, pid)
        conn.execute("create table leader (role text primary key, pid integer)")
        conn.execute("insert into leader values ('keeper', pg_backend_pid()), ('publisher', 0)")
        assert leader_session(world) is None
        conn.execute("update leader set pid = pg_backend_pid() where role = 'publisher'")
        assert leader_session(world) == (client, pid)


def test_every_odd_message_is_taken_by_rabbitmq_and_names_its_customer(
    channel: amqp.Channel,
) -> None:
    for number, oddity in enumerate(ODDITIES):
        channel.basic_publish_confirm(oddity.message(f"Odd {number}"), "", QUEUE)
    assert channel.queue_declare(QUEUE, passive=True).message_count == len(ODDITIES)
    assert len({oddity.what for oddity in ODDITIES}) == len(ODDITIES)
    assert customer_of(order("Ada")) == "Ada"
    assert customer_of(b'"storm event 7"') is customer_of(b"{") is None


def test_a_header_with_milliseconds_is_what_py_amqp_cannot_read(
    servers: Servers, channel: amqp.Channel
) -> None:
    (odd,) = (each for each in ODDITIES if each.what == "header: timestamp in milliseconds")
    channel.basic_publish_confirm(odd.message("Ada"), "", QUEUE)
    with Connection(servers.rabbitmq.url) as link, pytest.raises(ValueError, match="year"):
        link.channel().basic_get(QUEUE)


def test_a_foreign_message_is_lost_unless_it_is_an_order_or_a_dead_letter_with_a_reason(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(world.db_url) as conn:
        conn.execute(
            "insert into orders (number, customer_name, customer_key, type, total_amount) "
            "values ('ORD_20261125_001', 'Order', 'Order', 'takeout', 9.5)"
        )
    letters = [(order("Dead"), "quantity is 0"), (order("Mute"), "")]
    monkeypatch.setattr(neighbours, "dead_letters", lambda _: letters)
    foreign = [Foreign(name, "q", "order") for name in ("Order", "Dead", "Mute", "Gone")]
    assert [each.customer for each in neighbours.lost(world, foreign)] == ["Mute", "Gone"]


def test_dead_letters_at_the_broker_are_read_with_their_reason(
    world: World, channel: amqp.Channel
) -> None:
    with psycopg.connect(world.db_url) as conn:
        conn.execute("drop table if exists dead_message cascade")
    queues.purge(world, DEAD_LETTER_QUEUE)
    letter = amqp.Message(order("Ada"), application_headers={"reason": "no pizza"})
    channel.basic_publish_confirm(letter, "", DEAD_LETTER_QUEUE)
    assert dead_letters(world) == [(order("Ada"), "no pizza")]
    queues.purge(world, DEAD_LETTER_QUEUE)


def test_a_latency_reads_as_a_sentence() -> None:
    assert str(Latency("events", 1.0, 0.5)) == "events after 1.00 s, limit 0.5 s"
