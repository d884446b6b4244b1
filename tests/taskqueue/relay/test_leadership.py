"""One relay of all leads; when it dies or freezes, another takes over."""

from __future__ import annotations

from ...support.taskqueue.worker_process import Harness
from ...support.waiting import Stopwatch, wait_until


def leaders(harness: Harness) -> list[str]:
    """Whose sessions hold the lock of the lead."""
    return [
        name
        for (name,) in harness.rows(
            """select a.application_name from pg_locks l join pg_stat_activity a using (pid)
               where l.locktype = 'advisory' and l.granted
                 and l.objid = (lock_key('leader publisher') & 4294967295)::oid
                 and a.datname = current_database()"""
        )
    ]


def test_one_leads_and_a_killed_leader_is_followed_within_a_second(harness: Harness) -> None:
    relays = {"r0 relay": harness.relay("r0")}
    for name in ("r1", "r2"):
        relays[f"{name} relay"] = harness.relay(name, ready=False)
    in_line = """select count(*) from pg_stat_activity
                 where application_name like 'r_ relay' and datname = current_database()"""
    wait_until(lambda: harness.rows(in_line) == [(3,)], 10, "all three stand in line")
    sent = []
    for _ in range(2):
        (leader,) = leaders(harness)
        relays.pop(leader).kill9()
        killed = Stopwatch()
        sent.append(harness.send())
        wait_until(lambda: leaders(harness) and leaders(harness) != [leader], 3, "another leads")  # noqa: B023
        harness.await_states(sent=len(sent))
        killed.assert_within(1.5)  # a second, and the time to connect
    (survivor,) = relays.values()
    assert len(leaders(harness)) == 1
    assert not survivor.tracebacks()


def test_a_frozen_leader_is_terminated_and_stays_harmless(harness: Harness) -> None:
    first = harness.relay("first")
    second = harness.relay("second", ready=False, frozen=2)
    harness.send()
    harness.await_states(sent=1)
    first.freeze()
    frozen = Stopwatch()
    waiting = harness.send()
    second.await_log("leader_elected", 15)
    assert second.log("leader_terminated")
    frozen.assert_within(2 + 3 + 4)  # the time-out of a leader, the check, and a margin
    harness.await_states(sent=2)
    # When it continues, it detects this, and stands by
    first.thaw()
    first.await_log("relay_lost", 10)
    later = harness.send()
    harness.await_states(sent=3)
    assert leaders(harness) == ["second relay"]
    assert {waiting, later} <= {id for (id,) in harness.rows("select id from message")}
    # And leads again when it is needed
    second.kill9()
    first.await_log("leader_elected", 10, count=2)


def test_a_busy_leader_is_not_taken_for_a_frozen_one(harness: Harness) -> None:
    harness.relay("first")
    second = harness.relay("second", ready=False, frozen=1.5)
    harness.send_many(6000)
    harness.await_states(sent=6000, within=20)
    assert not second.log("leader_terminated")
    assert not second.log("leader_elected")
