"""A process whose clock is wrong."""

import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from chaos_tools.cluster import ChaosCluster
from chaos_tools.scenario import RESTART_SECONDS, injection_count, scenario
from devservices import wait_until

HOUR_SECONDS = 3600
CURABLE_SECONDS = 60.0
LOOK_SECONDS = 0.1
TIMEOUT_SECONDS = 60.0
FOLDER = Path(__file__).with_name("skewed_clock")


@scenario(
    "the clock of one process is an hour off", expect_no_errors=False, recovery=RESTART_SECONDS
)
def clock(cluster: ChaosCluster, random: Random, seconds: float) -> None:
    """One after the other: the order service, a cook, a station, tracking, the subscriber."""
    names = ["service", random.choice(cluster.cooks), "quality", "tracking", "subscriber"]
    names = names[: injection_count(len(names), seconds)]
    for name in names:
        path = f"{FOLDER}:{cluster.environment['PYTHONPATH']}"
        off = random.choice((-HOUR_SECONDS, HOUR_SECONDS))
        cluster.kill(name, {"PYTHONPATH": path, "CHAOS_CLOCK_SECONDS": str(off)})
        cluster.report.record_attempt(shows(cluster, name, off))
        time.sleep(seconds / len(names))
        cluster.kill(name, {})
    if cluster.report.hits < cluster.report.aimed:
        cluster.report.fail("a clock was not off, by the log of its process")


def shows(cluster: ChaosCluster, name: str, off: float) -> bool:
    """Whether the log of a process soon has the wrong time. off: seconds."""
    log = cluster.folder / f"{name}.log"

    def is_off() -> bool:
        with suppress(IndexError, ValueError, KeyError):
            said = json.loads(log.read_text().splitlines()[-1])["timestamp"]
            found = (datetime.fromisoformat(said) - datetime.now(UTC)).total_seconds()
            return abs(found - off) < CURABLE_SECONDS
        return False

    return wait_until(is_off, TIMEOUT_SECONDS, LOOK_SECONDS)
