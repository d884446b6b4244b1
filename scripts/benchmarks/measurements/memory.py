"""What a cook holds in memory while it waits for work."""

import time
from pathlib import Path

from benchmarks.environment import BenchEnvironment
from benchmarks.results import Result, at_most
from terminal.progress import step

IDLE_SECONDS, GOAL_MB = 5.0, 60


def measure(environment: BenchEnvironment, quick: bool) -> list[Result]:
    """RSS of a cook after some seconds of idleness; PSS (shared pages split up) in the details."""
    with environment.cluster("memory") as cluster, step("Memory of an idle cook"):
        cluster.start_cooks(1)
        time.sleep(1.0 if quick else IDLE_SECONDS)
        cluster.check()
        lines = Path(f"/proc/{cluster.pids('cook')[0]}/smaps_rollup").read_text().splitlines()[1:]
    kilobytes = {name: int(rest.split()[0]) for name, _, rest in (x.partition(":") for x in lines)}
    found = {f"{name.lower()}_mb": round(kilobytes[name] / 1024, 1) for name in ("Rss", "Pss")}
    work = "memory of an idle cook (RSS)"
    return [at_most(work, found["rss_mb"], "MB", GOAL_MB, details=found)]
