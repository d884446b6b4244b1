"""Retry policies: number of attempts, delays, and errors without a retry."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pizza.taskqueue import RetryPolicy
from pizza.taskqueue.errors import ConfigurationError, PoisonMessage
from pizza.taskqueue.retry import Backoff


@given(
    attempt=st.integers(1, 500),
    base=st.floats(0, 100),
    factor=st.floats(1, 10),
    cap=st.floats(0, 1000),
    jitter=st.floats(0, 1),
)
def test_every_wait_is_within_its_bounds(
    attempt: int, base: float, factor: float, cap: float, jitter: float
) -> None:
    policy = RetryPolicy(initial_delay=base, multiplier=factor, max_delay=cap, jitter=jitter)
    wait = policy.delay(attempt).total_seconds()
    longest = min(cap, base * factor ** min(attempt - 1, 64))
    assert longest * (1 - jitter) - 1e-5 <= wait <= longest + 1e-5


def test_without_jitter_waits_double_up_to_the_cap() -> None:
    policy = RetryPolicy(initial_delay=1, multiplier=2, max_delay=10, jitter=0)
    assert [policy.delay(n).total_seconds() for n in range(1, 7)] == [1, 2, 4, 8, 10, 10]


def test_jitter_makes_waits_differ() -> None:
    assert len({RetryPolicy().delay(3) for _ in range(50)}) > 40


def test_attempts_are_counted_from_one() -> None:
    policy = RetryPolicy(max_attempts=3)
    assert [policy.should_retry(n, ValueError()) for n in (1, 2, 3, 4)] == [
        True,
        True,
        False,
        False,
    ]
    assert not RetryPolicy(max_attempts=1).should_retry(1, ValueError())


def test_some_errors_are_never_retried() -> None:
    assert not RetryPolicy().should_retry(1, PoisonMessage("no"))
    policy = RetryPolicy(no_retry_on=(LookupError,))
    assert not policy.should_retry(1, KeyError())  # subclasses too
    assert policy.should_retry(1, ValueError())


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": 0},
        {"initial_delay": -1},
        {"multiplier": 0.5},
        {"jitter": 2},
        {"jitter": -0.1},
    ],
)
def test_a_policy_that_cannot_work_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        RetryPolicy(**wrong)


def test_backoff_grows_to_two_seconds_and_starts_again() -> None:
    backoff = Backoff()
    waits = [backoff.next() for _ in range(12)]
    longest = [0.1, 0.2, 0.4, 0.8, 1.6, 2, 2, 2, 2, 2, 2, 2]
    assert all(top / 2 <= wait <= top for wait, top in zip(waits, longest, strict=True))
    backoff.reset()
    assert backoff.next() <= 0.1
