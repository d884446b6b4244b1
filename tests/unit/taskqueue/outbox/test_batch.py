"""Batches of the outbox: confirmed, returned and refused messages."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from pizza.database.queries import Queries
from pizza.taskqueue.broker.publisher import Refusal
from pizza.taskqueue.errors import BrokerUnavailable
from pizza.taskqueue.outbox.batch import BATCH_SIZE, PARKING, BatchPublisher
from pizza.taskqueue.testing import FakeConnection

SQL = Queries("taskqueue/relay")
QUERIES = ("mark_sent", "park_message", "drop_unroutable_events", "dead_letter_unpublishable")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class SlowPublisher:
    """Stands in for a broker that confirms so many messages in time, and no more."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.timeouts = 0

    def publish(self, batch: Sequence[Any]) -> list[Refusal | None]:
        if len(batch) > self.most:
            self.timeouts += 1
            raise BrokerUnavailable("RabbitMQ did not confirm within 8 s")
        return [None] * len(batch)


class RefusingPublisher:
    """Stands in for a broker that refuses messages by their routing key."""

    def __init__(self, **refusals: Refusal) -> None:
        self._refusals = refusals

    def publish(self, batch: Sequence[Any]) -> list[Refusal | None]:
        return [self._refusals.get(key) for _, key, _ in batch]

    def forget_missing(self) -> None:
        """Nothing is remembered."""


def row(position: int, key: str = "k", **more: Any) -> Any:
    """One row of the query `fetch_pending`: an event."""
    values = {
        "position": position, "id": UUID(int=position), "task": None, "queue": None,
        "exchange": "x", "routing_key": key, "priority": 0, "headers": None, "body": b"{}",
        "attempt": 0, "created_at": NOON, "refusals": 0, **more,
    }  # fmt: skip
    return SimpleNamespace(**values)


def published(batches: BatchPublisher, publisher: Any, backlog: list[Any]) -> list[int]:
    """Publish a batch as the relay does; the positions that are confirmed."""
    conn = FakeConnection()
    batches.publish(conn, publisher, backlog[: batches.limit], lambda: None)  # type: ignore[arg-type]
    ((query, parameters),) = conn.statements
    assert query == SQL.mark_sent
    return list(parameters["positions"])


def settled(publisher: Any, rows: list[Any]) -> dict[str, list[Any]]:
    """Publish rows until nothing is tried again at once: the parameters of each statement."""
    conn, batches = FakeConnection(), BatchPublisher()
    declared = 0

    def declare() -> None:
        nonlocal declared
        declared += 1

    before = -1
    while declared != before:
        before = declared
        batches.publish(conn, publisher, rows, declare)  # type: ignore[arg-type]
    names = {getattr(SQL, name): name for name in QUERIES}
    found: dict[str, list[Any]] = {}
    for query, parameters in conn.statements:
        found.setdefault(names[query], []).append(parameters)
    return found


@pytest.mark.parametrize("most", [1, 60, 499])
def test_a_broker_too_slow_for_a_whole_batch_gets_through_a_backlog_in_smaller_ones(
    most: int,
) -> None:
    # Given a backlog, and a broker that confirms fewer than a batch within the time for one
    backlog = [row(n) for n in range(2 * BATCH_SIZE)]
    batches, publisher = BatchPublisher(), SlowPublisher(most)
    confirmed: list[int] = []
    number = 0

    # When the relay continues after each timeout
    for _ in range(5 * BATCH_SIZE):
        try:
            done = published(batches, publisher, backlog)
        except BrokerUnavailable:
            continue
        confirmed += done
        number += 1
        backlog = backlog[len(done) :]
        if not backlog:
            break

    # Then all goes out, in its order, and it asks for too much every other time at most
    assert confirmed == list(range(2 * BATCH_SIZE))
    assert publisher.timeouts <= 9 + number


def test_a_broker_that_keeps_up_again_is_soon_given_whole_batches() -> None:
    backlog = [row(n) for n in range(BATCH_SIZE)]
    batches = BatchPublisher()
    for _ in range(20):
        with pytest.raises(BrokerUnavailable):
            published(batches, SlowPublisher(0), backlog)
    sizes = [len(published(batches, SlowPublisher(BATCH_SIZE), backlog)) for _ in range(10)]
    assert sizes == [1, 2, 4, 8, 16, 32, 64, 128, 256, BATCH_SIZE]


def test_an_event_that_no_queue_is_bound_for_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    conn = FakeConnection({SQL.drop_unroutable_events: [("x", 1, True)]})
    batches = BatchPublisher()
    for _ in range(2):
        batches.publish(
            conn,  # type: ignore[arg-type]
            RefusingPublisher(nobody=Refusal.UNROUTABLE),  # type: ignore[arg-type]
            [row(1), row(2, "nobody"), row(3)],
            lambda: None,
        )
    dropped = [values for query, values in conn.statements if query == SQL.drop_unroutable_events]
    assert dropped == [{"positions": [2]}]
    assert caplog.records[-1].__dict__["details"] == {"exchange": "x", "number": 1}


def test_an_event_that_goes_to_one_queue_waits_for_it() -> None:
    found = settled(
        RefusingPublisher(gone=Refusal.UNROUTABLE), [row(1, "gone", queue="gone", exchange="")]
    )
    assert [values["positions"] for values in found["park_message"]] == [[1]]
    assert "drop_unroutable_events" not in found


def test_a_task_that_no_queue_is_bound_for_waits_and_holds_up_no_other() -> None:
    found = settled(
        RefusingPublisher(gone=Refusal.UNROUTABLE), [row(1), row(2, "gone", task="t"), row(3)]
    )
    assert [values["positions"] for values in found["park_message"]] == [[2]]
    # What comes behind it is sent again after the first try, so that the order stays.
    assert [values["positions"] for values in found["mark_sent"]] == [[1], [1, 3]]


@pytest.mark.parametrize("refusals", range(PARKING.max_attempts))
def test_pauses_grow_and_end_in_a_dead_letter(refusals: int) -> None:
    found = settled(
        RefusingPublisher(gone=Refusal.NO_EXCHANGE), [row(1, "gone", refusals=refusals)]
    )
    if refusals + 1 == PARKING.max_attempts:
        (values,) = found["dead_letter_unpublishable"]
        assert values["headers"].obj["reason"].endswith("(tried 12 times)")
        return
    (values,) = found["park_message"]
    longest = timedelta(seconds=min(300, 5 * 2**refusals))
    assert longest * 0.75 <= values["delay"] <= longest


def test_a_message_that_cannot_be_written_is_dead_at_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        found = settled(RefusingPublisher(odd=Refusal.UNWRITABLE), [row(1, "odd"), row(2)])
    assert [values["position"] for values in found["dead_letter_unpublishable"]] == [1]
    assert [values["positions"] for values in found["mark_sent"]] == [[2]]
    assert [record.__dict__["action"] for record in caplog.records] == ["message_dead"]
