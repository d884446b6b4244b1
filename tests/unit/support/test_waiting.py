"""Time limits of tests: strict on an idle machine, longer while others use the processors."""

from __future__ import annotations

import pytest

from ...support.waiting import Stopwatch, wait_until


def test_a_time_limit_is_strict_while_no_process_waits_for_a_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch = Stopwatch()
    monkeypatch.setattr(watch, "slowness", lambda: 1.0)
    watch.assert_within(2, 1.9)
    with pytest.raises(AssertionError, match=r"2\.10 s instead of 2 s"):
        watch.assert_within(2, 2.1)


def test_a_time_limit_is_extended_while_processes_wait_for_a_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch = Stopwatch()
    monkeypatch.setattr(watch, "slowness", lambda: 3.0)
    watch.assert_within(2, 5.9)
    with pytest.raises(AssertionError, match=r"3\.0 times as slow"):
        watch.assert_within(2, 6.1)


def test_a_limit_is_never_shorter_than_on_an_idle_machine() -> None:
    assert Stopwatch().slowness() >= 1.0


def test_a_wait_ends_with_the_first_true_answer_or_says_for_what_it_was() -> None:
    answers = iter([None, 0, "yes"])
    assert wait_until(lambda: next(answers), 5, "an answer") == "yes"
    with pytest.raises(AssertionError, match="an answer"):
        wait_until(lambda: None, 0.01, "an answer")
