"""What an application does every few seconds, in one process at a time."""

from __future__ import annotations

import os
import time

import pytest

from ..pace import Stopwatch, wait_until
from .stage import Stage


def turns(stage: Stage) -> int:
    return stage.rows("select count(*) from turn")[0][0]


def test_a_chore_is_run_by_the_leader_alone_and_goes_on_with_the_next(stage: Stage) -> None:
    first = stage.relay("first")
    stage.relay("second", ready=False)
    wait_until(lambda: turns(stage) >= 2, 10, "the chore has its turns")
    watch, before = Stopwatch(), turns(stage)
    time.sleep(2)
    had = turns(stage) - before
    assert had <= 2 * watch.seconds + 2  # one of two relays has them, twice a second
    first.kill9()
    before = turns(stage)
    wait_until(lambda: turns(stage) >= before + 2, 10, "the chore goes on")


def test_a_chore_that_fails_leaves_nothing_behind_and_disturbs_nobody(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "TOY_CHORE_FAILS", "1")
    relay = stage.relay()
    relay.await_log("chore_failed", count=2)
    assert turns(stage) == 0
    job = stage.send()
    stage.worker("w", no_relay=True)
    stage.await_all_done()
    stage.assert_each_once([job])
