"""What a cook holds in memory while it waits for work."""

import time

from benchmarks import cpu
from benchmarks.results import Figure
from benchmarks.stage import Stage
from terminal.progress import step

IDLE_SECONDS, GOAL_MB = 5.0, 60


def measure(stage: Stage, quick: bool) -> list[Figure]:
    """RSS of a cook after some seconds of idleness; PSS beside it."""
    with stage.site("memory") as site, step("Memory of an idle cook"):
        site.hire(1)
        time.sleep(1.0 if quick else IDLE_SECONDS)
        site.check()
        held = cpu.resident(site.pids("cook")[0])
    found = {name: round(value, 1) for name, value in held.items()}
    return [
        Figure("memory of an idle cook (RSS)", found["rss_mb"], "MB", GOAL_MB, True, details=found)
    ]
