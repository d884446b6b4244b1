"""What the broker lost is published again, whatever else waits there."""

from __future__ import annotations

from typing import Any

import amqp
import pytest

from devservices import Servers
from pizza.database.connection import connect
from pizza.taskqueue.broker.connection import BrokerConnection
from pizza.taskqueue.outbox import republisher
from pizza.taskqueue.outbox.republisher import Republisher

from ...support.taskqueue.backlog import give_memory, insert_tasks, put_external, send_tasks
from ...support.taskqueue.event_probe import EventProbe
from ...support.taskqueue.worker_process import Harness
from ...support.waiting import Stopwatch, full_size, wait_until


@pytest.mark.parametrize("count", [30_000, pytest.param(300_000, marks=full_size)])
def test_messages_of_an_emptied_queue_are_published_again_while_events_are_published(
    servers: Servers, harness: Harness, count: int
) -> None:
    give_memory(servers.rabbitmq, count)
    insert_tasks(harness, count, "sent", age=20)
    harness.relay()
    red = harness.sample.queue("red")
    watch = Stopwatch()
    with EventProbe(harness) as probe, harness.broker() as channel:
        ready = lambda: channel.queue_declare(red, passive=True).message_count  # noqa: E731
        wait_until(lambda: ready() >= count, 60, f"{count} messages are there again")
        watch.assert_within(60)
        print(f"{count} messages in {watch.seconds:.1f} s, {watch.slowness():.1f} times as slow")
    print(f"events: median {probe.percentile(0.5):.3f} s, 99 % {probe.percentile(0.99):.3f} s")
    probe.assert_on_time()
    assert harness.ready(red) == count


def test_a_queue_deleted_while_messages_wait_and_come_is_whole_again(harness: Harness) -> None:
    relay = harness.relay()
    red = harness.sample.queue("red")
    send_tasks(harness, 5000)
    wait_until(lambda: harness.ready(red) == 5000, 30, "all wait")
    harness.rows("update message set sent_at = now() - interval '20 seconds' returning 1")
    with EventProbe(harness) as probe:
        with harness.broker() as channel:
            channel.queue_delete(red)
        coming = [harness.send() for _ in range(50)]
        relay.await_log("messages_sent_again", 20)
        coming += [harness.send() for _ in range(50)]
        wait_until(lambda: harness.ready(red) >= 5100, 20, "all are there again")
    probe.assert_on_time()
    harness.await_states(sent=5100)
    delivered = {message.properties["message_id"] for message in harness.drain(red)}
    assert len(delivered) == 5100
    assert delivered >= {str(id) for id in coming}


def test_a_lost_message_behind_those_of_other_programs_is_found_by_being_overtaken(
    harness: Harness,
) -> None:
    relay = harness.relay()
    lost = harness.send(priority=5, label="lost")
    harness.await_states(sent=1)
    wait_until(lambda: harness.drain(harness.sample.queue("red")), 5, "its delivery is gone")
    harness.rows("update message set sent_at = now() - interval '20 seconds' returning 1")
    # Given so many others that the queue is not short
    put_external(harness, 200, "red")
    gate = harness.gate()
    later = harness.send("block", priority=5, until=gate)
    # When a worker gets what was sent later
    worker = harness.worker("w", no_relay=True)
    harness.await_run(later)
    # Then the lost one is sent again, and is the next
    relay.await_log("messages_sent_again", 15)
    gate.open()
    harness.await_run(lost)
    harness.await_run(later, event="end")
    assert worker.running


def test_orphaned_deliveries_are_removed_and_those_of_other_programs_stay(
    harness: Harness,
) -> None:
    relay = harness.relay()
    red = harness.sample.queue("red")
    send_tasks(harness, 1250)
    wait_until(lambda: harness.ready(red) == 1250, 10, "half of them wait")
    put_external(harness, 40, "red")
    send_tasks(harness, 1250)
    wait_until(lambda: harness.ready(red) == 2540, 10, "all of them wait")
    waiting = harness.send()
    # When workers have taken all but one by their tags, without their deliveries
    harness.rows("delete from message where id <> %s returning 1", waiting)
    harness.rows("update message set sent_at = now() - interval '20 seconds' returning 1")
    wait_until(lambda: harness.ready(red) < 1200, 15, "most of them are taken out")
    assert relay.log("messages_sent_again")
    left: list[amqp.Message] = []

    def external() -> int:
        # The keeper may hold some, and requeues them.
        left.extend(harness.drain(red))
        return sum("task" not in m.properties.get("application_headers", {}) for m in left)

    wait_until(lambda: external() >= 40, 10, "those of others are all there")
    wait_until(
        lambda: external() == 40 and str(waiting) in {m.properties["message_id"] for m in left},
        10,
        "and so is the one that waits",
    )


class CountingBroker(BrokerConnection):
    """Counts how many deliveries it holds at most."""

    in_hand = most = 0

    def get(self, queue: str) -> Any:
        message = super().get(queue)
        self.in_hand += message is not None
        self.most = max(self.most, self.in_hand)
        return message

    def requeue(self, tag: int) -> None:
        super().requeue(tag)
        self.in_hand -= 1


def test_a_check_for_orphaned_deliveries_holds_few_of_them(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given very many messages of other programs, so that each look goes deeper than the last
    green = harness.sample.queue("green")
    put_external(harness, 3000, "green")
    insert_tasks(harness, 1, "sent", colour="green")
    for name in ("INTERVAL_S", "_SHORTEST_PAUSE_S"):
        monkeypatch.setattr(republisher, name, 0.0)
    monkeypatch.setattr(republisher, "_MAX_DUTY_CYCLE", 1e6)
    broker = CountingBroker(harness.broker_url, name="test")
    with connect(harness.db_url, name="test") as conn:
        looking = Republisher(conn, harness.sample.app.topology)
        looking.use_connection(broker)
        for _ in range(4):
            wait_until(lambda: harness.ready(green) == 3000, 5, "all are there")
            looking.step(broker)
    # Then none holds many back from workers, and none holds up the keeper for seconds
    assert 500 < broker.most <= 2000
    broker.close()
    wait_until(lambda: harness.ready(green) == 3000, 5, "all have come back")
