"""Many unroutable events delay no others, and end after growing pauses."""

from __future__ import annotations

import time

from ...support.taskqueue.event_probe import EventProbe
from ...support.taskqueue.worker_process import Harness
from ...support.waiting import wait_until

SENT_S = 5.0
MISSING = 60
_SEND = """
select outbox_enqueue_event(gen_random_uuid(), 'missing_' || n, 'x', convert_to('{}', 'UTF8'))
from generate_series(1, %s) n
"""
_BACKLOG = "select count(*) from message where state = 'pending'"
_PAUSES = """
select refusals, extract(epoch from coalesce(available_at - clock_timestamp(), '0'))::float8
from message where starts_with(exchange, 'missing')
"""
_REFUSE = """
update message set refusals = %s, available_at = now()
where starts_with(exchange, 'missing') and state = 'scheduled' and refusals < %s
returning 1
"""


def pauses(harness: Harness) -> list[tuple[int, float]]:
    """How often each event was refused, and in how many seconds it is tried again."""
    found = [(int(refusals), float(pause)) for refusals, pause in harness.rows(_PAUSES)]
    assert len(found) == MISSING
    return found


def test_events_to_missing_exchanges_delay_no_others_and_become_dead_letters(
    harness: Harness,
) -> None:
    relay = harness.relay()
    backlogs = []
    with EventProbe(harness, batch=40) as probe:  # 400 a second
        harness.conn.execute(_SEND, (MISSING,))
        until = time.monotonic() + SENT_S
        while time.monotonic() < until:
            backlogs.append(harness.rows(_BACKLOG)[0][0])
            time.sleep(0.1)
    probe.assert_on_time()
    # Small: what a second or so brings, however slow the machine is.
    assert sorted(backlogs)[len(backlogs) // 2] < 400
    # After some refusals each waits for minutes instead of seconds
    wait_until(lambda: all(1 <= n < 4 for n, _ in pauses(harness)), 10, "all wait for a next try")
    assert max(pause for _, pause in pauses(harness)) < 25

    def refused_often() -> bool:
        harness.rows(_REFUSE, 6, 7)
        return all(n == 7 for n, _ in pauses(harness))

    wait_until(refused_often, 10, "all were refused for the seventh time")
    assert min(pause for _, pause in pauses(harness)) > 100
    # And after the twelfth time each is a dead message
    harness.rows(_REFUSE, 11, 12)
    dead = "select exchange, reason from dead_message"
    wait_until(lambda: len(harness.rows(dead)) == MISSING, 10, "all are dead")
    assert {reason for _, reason in harness.rows(dead)} == {
        f"not published: its exchange does not exist: 'missing_{n}' (tried 12 times)"
        for n in range(1, MISSING + 1)
    }
    assert relay.running and not relay.tracebacks()
    assert not relay.log("broker_lost")
