"""An idle system is quiet: no healthy connection is taken for a lost one."""

from __future__ import annotations

import logging
import time
from functools import partial

import pytest

from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.taskqueue.outbox import keeper as keeper_module
from pizza.taskqueue.outbox import reconnecting_publisher as link_module
from pizza.taskqueue.outbox.relay import Relay

from ...support.taskqueue.worker_process import Harness
from ...support.waiting import wait_until

# The queue of a message that waits is asked about every two seconds. Between such answers RabbitMQ
# has no reason to send a heartbeat itself.
HEARTBEAT_S = 6
# Two missing heartbeats are a loss.
IDLE_S = 3 * HEARTBEAT_S + 1


def test_an_idle_connection_to_the_broker_is_kept(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Given frequent heartbeats, and a message that waits in a queue without a worker
    beating = partial(BrokerConnection, heartbeat=HEARTBEAT_S)
    monkeypatch.setattr(link_module, "BrokerConnection", beating)
    monkeypatch.setattr(keeper_module, "BrokerConnection", beating)
    harness.send(colour="blue")
    caplog.set_level(logging.INFO)
    worker = harness.worker("w", no_relay=True, heartbeat=HEARTBEAT_S)
    subscriber = harness.subscriber(heartbeat=HEARTBEAT_S)
    relay = Relay(harness.sample.app, harness.db_url, harness.broker_url, name="relay")
    relay.start()
    try:
        wait_until(lambda: relay.state() == "leading", 10, "it leads")
        harness.await_states(sent=1)
        # When nothing happens for a while
        time.sleep(IDLE_S)
    finally:
        relay.stop(5)
    # Then no process logs anything about it
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []
    for process in (worker, subscriber):
        assert [line for line in process.log() if line["level"] != "INFO"] == []
        assert not process.log("broker_lost") and not process.log("broker_reconnected")
    actions = [record.__dict__.get("action") for record in caplog.records]
    assert actions.count("leader_elected") == 1
