"""Very many messages that are due at once are published in slices, with new ones in between."""

from __future__ import annotations

import pytest

from devservices import Servers

from ...support.taskqueue.backlog import ONE_BY_ONE, give_memory, insert_tasks
from ...support.taskqueue.event_probe import EventProbe
from ...support.taskqueue.worker_process import Harness
from ...support.waiting import Stopwatch, full_size, wait_until

# Between the place of a message by its due time, and the place in which it was published.
_FURTHEST = """
select max(abs(by_time - by_position))
from (select row_number() over (order by available_at) as by_time,
             row_number() over (order by position) as by_position
      from message where task is not null) places
"""


@pytest.mark.parametrize("count", [50_000, pytest.param(400_000, marks=full_size)])
def test_events_go_out_while_a_flood_of_due_messages_is_published(
    servers: Servers, harness: Harness, count: int
) -> None:
    give_memory(servers.rabbitmq, count)
    insert_tasks(harness, count, "scheduled", available=ONE_BY_ONE)
    harness.relay()
    watch = Stopwatch()
    with EventProbe(harness) as probe:
        left = "select 1 from message where state <> 'sent' and task is not null limit 1"
        wait_until(lambda: not harness.rows(left), count / 1000, "all are published")
        print(
            f"{count} due messages in {watch.seconds:.1f} s, {watch.slowness():.1f} times as slow"
        )
    print(f"events: median {probe.percentile(0.5):.3f} s, 99 % {probe.percentile(0.99):.3f} s")
    probe.assert_on_time()
    assert harness.ready(harness.sample.queue("red")) == count
    ((furthest,),) = harness.rows(_FURTHEST)
    assert furthest <= 2000
