"""One relay leads among any number; when it dies another does at once, when it freezes soon."""

from __future__ import annotations

from ...support.taskqueue.worker_process import Harness
from ...support.waiting import Stopwatch, wait_until


def leaders(stage: Harness) -> list[str]:
    """Whose sessions hold the lock of the lead."""
    return [
        name
        for (name,) in stage.rows(
            """select a.application_name from pg_locks l join pg_stat_activity a using (pid)
               where l.locktype = 'advisory' and l.granted
                 and l.objid = (lock_key('leader publisher') & 4294967295)::oid
                 and a.datname = current_database()"""
        )
    ]


def test_one_leads_and_a_killed_leader_is_followed_within_a_second(stage: Harness) -> None:
    relays = {"r0 relay": stage.relay("r0")}
    for name in ("r1", "r2"):
        relays[f"{name} relay"] = stage.relay(name, ready=False)
    in_line = """select count(*) from pg_stat_activity
                 where application_name like 'r_ relay' and datname = current_database()"""
    wait_until(lambda: stage.rows(in_line) == [(3,)], 10, "all three stand in line")
    sent = []
    for _ in range(2):
        (leader,) = leaders(stage)
        relays.pop(leader).kill9()
        killed = Stopwatch()
        sent.append(stage.send())
        wait_until(lambda: leaders(stage) and leaders(stage) != [leader], 3, "another leads")  # noqa: B023
        stage.await_states(sent=len(sent))
        killed.assert_within(1.5)  # a second, and the time to connect
    (survivor,) = relays.values()
    assert len(leaders(stage)) == 1
    assert not survivor.tracebacks()


def test_a_frozen_leader_is_deposed_and_stays_harmless(stage: Harness) -> None:
    first = stage.relay("first")
    second = stage.relay("second", ready=False, frozen=2)
    stage.send()
    stage.await_states(sent=1)
    first.freeze()
    frozen = Stopwatch()
    waiting = stage.send()
    second.await_log("leader_elected", 15)
    assert second.log("leader_terminated")
    frozen.assert_within(2 + 3 + 4)  # believed dead after, made sure, and some
    stage.await_states(sent=2)
    # When it thaws, it notices, and stands by
    first.thaw()
    first.await_log("relay_lost", 10)
    later = stage.send()
    stage.await_states(sent=3)
    assert leaders(stage) == ["second relay"]
    assert {waiting, later} <= {id for (id,) in stage.rows("select id from message")}
    # And leads again when it is needed
    second.kill9()
    first.await_log("leader_elected", 10, count=2)


def test_a_busy_leader_is_not_taken_for_a_frozen_one(stage: Harness) -> None:
    stage.relay("first")
    second = stage.relay("second", ready=False, frozen=1.5)
    stage.send_many(6000)
    stage.await_states(sent=6000, within=20)
    assert not second.log("leader_terminated")
    assert not second.log("leader_elected")
