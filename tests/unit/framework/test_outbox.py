"""The outbox's batches: whole ones for a broker that keeps up, smaller ones for a slow one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from pizza.database.queries import Queries
from pizza.framework.errors import BrokerUnavailable
from pizza.framework.outbox import BATCH, Outbox
from pizza.framework.testing import Recorder

SQL = Queries("relay")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class SlowPublisher:
    """Stands in for a broker that confirms so many messages in time, and no more."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.timeouts = 0

    def publish(self, batch: Sequence[Any]) -> list[bool]:
        if len(batch) > self.most:
            self.timeouts += 1
            raise BrokerUnavailable("RabbitMQ did not confirm within 8 s")
        return [True] * len(batch)


def waiting(count: int) -> list[Any]:
    """So many rows of the query `pending`."""
    row = ("x", "k", 0, None, b"{}", 0, NOON)
    return [(n, UUID(int=n), None, *row) for n in range(count)]


def relayed(outbox: Outbox, publisher: SlowPublisher, backlog: list[Any]) -> list[int]:
    """Publish a batch as the relay does; the positions that are confirmed."""
    conn = Recorder()
    outbox.publish(conn, publisher, backlog[: outbox.limit])  # type: ignore[arg-type]
    ((query, parameters),) = conn.statements
    assert query == SQL.confirmed
    return list(parameters["positions"])


@pytest.mark.parametrize("most", [1, 60, 499])
def test_a_broker_too_slow_for_a_whole_batch_gets_through_a_backlog_in_smaller_ones(
    most: int,
) -> None:
    # Given a backlog, and a broker that confirms fewer than a batch within the time for one
    backlog = waiting(2 * BATCH)
    outbox, publisher = Outbox(), SlowPublisher(most)
    confirmed: list[int] = []
    batches = 0

    # When the relay goes on after each timeout
    for _ in range(5 * BATCH):
        try:
            done = relayed(outbox, publisher, backlog)
        except BrokerUnavailable:
            continue
        confirmed += done
        batches += 1
        backlog = backlog[len(done) :]
        if not backlog:
            break

    # Then all goes out, in its order, and it asks for too much every other time at most
    assert confirmed == list(range(2 * BATCH))
    assert publisher.timeouts <= 9 + batches


def test_a_broker_that_keeps_up_again_is_soon_given_whole_batches() -> None:
    backlog = waiting(BATCH)
    outbox = Outbox()
    for _ in range(20):
        with pytest.raises(BrokerUnavailable):
            relayed(outbox, SlowPublisher(0), backlog)
    batches = [len(relayed(outbox, SlowPublisher(BATCH), backlog)) for _ in range(10)]
    assert batches == [1, 2, 4, 8, 16, 32, 64, 128, 256, BATCH]
