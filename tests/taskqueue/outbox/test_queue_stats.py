"""The keeper records the lengths of the broker's queues in the database."""

from __future__ import annotations

from ...support.taskqueue.worker_process import DEAD_LETTERS, Harness
from ...support.waiting import wait_until


def test_the_leader_records_how_much_lies_in_each_queue(harness: Harness) -> None:
    harness.send_many(3, mode="hopeless")
    harness.conn.execute("insert into broker_queue values ('deleted', 7, 0, now())")
    harness.relay()
    red = harness.sample.queue("red")

    def recorded(name: str) -> list[tuple[int, int]]:
        query = "select messages, consumers from broker_queue where name = %s"
        return [(messages, consumers) for messages, consumers in harness.rows(query, name)]

    wait_until(lambda: recorded(red) == [(3, 0)], 15, "three wait without a consumer")
    assert recorded(DEAD_LETTERS) == [(0, 0)]
    assert recorded("deleted") == []
    harness.worker("w")
    harness.await_dead(3)
    wait_until(lambda: recorded(red) == [(0, 1)], 15, "a worker has come")
