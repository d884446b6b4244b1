"""A leader that cannot reach RabbitMQ resigns in favour of one that can, and otherwise stays."""

from __future__ import annotations

import time

from devservices import RabbitMQ
from pizza.taskqueue.task import publish

from ...support.taskqueue.worker_process import Harness, Process
from ...support.waiting import Stopwatch, wait_until

NOWHERE = "amqp://guest:guest@127.0.0.1:1//"
LIMIT_S = 10.0
WATCHED_S = 15.0


def publish_one(harness: Harness) -> Stopwatch:
    """Publish an event, and wait until it is at the broker."""
    watch = Stopwatch()
    publish(harness.conn, harness.prefix, "event.x", {})
    wait_until(lambda: harness.drain(), 20, "the event is published")
    return watch


def test_a_leader_with_a_wrong_address_resigns(harness: Harness) -> None:
    wrong = harness.relay("wrong", broker=NOWHERE)
    healthy = harness.relay("healthy", ready=False)
    publish_one(harness).assert_within(LIMIT_S)
    assert len(healthy.log("leader_elected")) == 1
    publish_one(harness).assert_within(1)
    # When the healthy one is gone, then the wrong one leads again, and gives way again
    healthy.kill9()
    wrong.await_log("leader_elected", 10, count=2)
    harness.relay("third", ready=False)
    publish_one(harness).assert_within(LIMIT_S)
    wrong.await_log("leader_resigned", count=2)
    # And it has logged the cause once
    (line,) = wrong.log("broker_lost")
    assert line["level"] == "WARNING" and "Connection refused" in line["message"]
    assert len(wrong.log("leader_resigned")) == 2
    assert not wrong.tracebacks()


def elections(relays: list[Process]) -> int:
    return sum(len(each.log("leader_elected") + each.log("leader_resigned")) for each in relays)


def test_without_a_broker_one_leads_and_keeps_the_lead(
    harness: Harness, rabbitmq: RabbitMQ
) -> None:
    relays = [harness.relay("one"), harness.relay("two", ready=False)]
    relays.append(harness.relay("wrong", ready=False, broker=NOWHERE))
    standby = """select count(*) from pg_stat_activity
                 where application_name like '%% relay' and datname = current_database()"""
    wait_until(lambda: harness.rows(standby) == [(3,)], 10, "all stand by, or lead")
    rabbitmq.kill9()
    relays[0].await_log("broker_lost")
    since = time.monotonic(), [each.cpu_seconds() for each in relays]
    time.sleep(WATCHED_S)
    passed = time.monotonic() - since[0]
    assert elections(relays) == 1, "one was elected at the start, and none since"
    for relay, before in zip(relays, since[1], strict=True):
        assert relay.cpu_seconds() - before < 0.15 * passed + 0.3
        assert len(relay.log("broker_lost")) <= 1
    rabbitmq.start()
    publish_one(harness).assert_within(5)
    assert not [line for each in relays for line in each.tracebacks()]
