"""What a cook holds in memory while it waits for work."""

import time

from benchmarks import cpu
from benchmarks.environment import BenchEnvironment
from benchmarks.results import Result, at_most
from terminal.progress import step

IDLE_SECONDS, GOAL_MB = 5.0, 60


def measure(environment: BenchEnvironment, quick: bool) -> list[Result]:
    """RSS of a cook after some seconds of idleness; PSS in the details."""
    with environment.cluster("memory") as cluster, step("Memory of an idle cook"):
        cluster.start_cooks(1)
        time.sleep(1.0 if quick else IDLE_SECONDS)
        cluster.check()
        held = cpu.resident(cluster.pids("cook")[0])
    found = {name: round(value, 1) for name, value in held.items()}
    work = "memory of an idle cook (RSS)"
    return [at_most(work, found["rss_mb"], "MB", GOAL_MB, details=found)]
