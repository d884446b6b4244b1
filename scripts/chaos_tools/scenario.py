"""What a scenario is: a function with a name and a description, in the register SCENARIOS."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from chaos_tools.cluster import ChaosCluster

FULL_SECONDS = 30.0
RECOVERY_SECONDS = 10.0
# Where the order service itself is killed, there is nothing new to cook until it has started. Next
# to a full restaurant on a busy machine that alone takes up to ten seconds.
RESTART_SECONDS = 20.0

Injection = Callable[[ChaosCluster, Random, float], None]


@dataclass(frozen=True)
class Scenario:
    """One kind of fault.

    run: injects it, for so many seconds. Servers, proxies and processes recover after it.
    use_proxy: all processes reach their servers through proxies, which can misbehave.
    start_late: the servers are down when the processes start.
    expect_no_errors: the order service and its database are not injured, so every request has to
        be answered with 201.
    duration_factor, rate_factor: applied to the seconds and the orders a second of the options.
    full_seconds: the length with --full, where that differs.
    recovery: within how many seconds of a recovery there is full speed again.
    """

    name: str
    description: str
    run: Injection
    use_proxy: bool = False
    start_late: bool = False
    expect_no_errors: bool = True
    duration_factor: float = 1.0
    rate_factor: float = 1.0
    full_seconds: float | None = None
    recovery: float = RECOVERY_SECONDS


SCENARIOS: dict[str, Scenario] = {}


def scenario(description: str, **options: Any) -> Callable[[Injection], Injection]:
    """Register a function as a scenario, under its name. options: fields of Scenario."""

    def register(run: Injection) -> Injection:
        name = run.__name__.replace("_", "-")
        SCENARIOS[name] = Scenario(name, description, run, **options)
        return run

    return register


def repetitions(seconds: float, pause: float) -> range:
    """How many times something is injected in so many seconds: at least once."""
    return range(max(1, int(seconds / pause)))


def injection_count(most: int, seconds: float) -> int:
    """How many of at most `most` injections fit into a scenario that is shorter than a full one."""
    return max(2, min(most, round(most * seconds / FULL_SECONDS)))
