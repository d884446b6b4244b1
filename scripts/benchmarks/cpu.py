"""Processor time by group of processes: what an order costs, also on a busy machine."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from devservices.proc import TICKS, cpu_seconds

Snapshot = dict[str, float]


def snapshot(groups: Mapping[str, list[int]]) -> Snapshot:
    """Seconds used so far by each group: the named processes and all below them."""
    return {name: sum(map(cpu_seconds, pids)) for name, pids in groups.items()}


def per_order(before: Snapshot, after: Snapshot, orders: int) -> dict[str, float]:
    """Microseconds an order, by group and in all."""
    found = {
        name: float(round((after[name] - before[name]) * 1e6 / max(1, orders))) for name in before
    }
    return found | {"all": sum(found.values())}


class BackgroundLoad:
    """How much of the machine went to other programs since the last call of `share`."""

    def __init__(self) -> None:
        self._last = self._look()

    def share(self) -> float:
        """Between 0 and 1, of all cores together; stolen time of a virtual machine counts."""
        before, self._last = self._last, self._look()
        machine, ours, capacity = (b - a for a, b in zip(before, self._last, strict=True))
        return min(1.0, max(0.0, machine - ours) / max(capacity, 1e-9))

    @staticmethod
    def _look() -> tuple[float, float, float]:
        """Processor seconds of the machine, of this run, and seconds there were."""
        user, nice, system, _, _, _, _, steal = map(
            int, Path("/proc/stat").read_text().split()[1:9]
        )
        machine = (user + nice + system + steal) / TICKS
        return machine, cpu_seconds(os.getpid()), time.monotonic() * (os.cpu_count() or 1)


def wait_until_idle(seconds: float, share: float = 0.1) -> None:
    """Wait until others leave the machine alone for two seconds, at most so long."""
    deadline = time.monotonic() + seconds
    background_load = BackgroundLoad()
    while time.monotonic() < deadline:
        time.sleep(2)
        if background_load.share() < share:
            return


def calibrate(folder: Path) -> dict[str, float]:
    """What this machine is worth now: a loop of Python, and a page made durable in `folder`."""
    loops, syncs = [], []
    with (folder / "calibration").open("wb", buffering=0) as file:
        for _ in range(50):
            began = time.perf_counter()
            sum(range(100_000))
            loops.append(time.perf_counter() - began)
            began = time.perf_counter()
            file.write(bytes(8192))
            os.fdatasync(file.fileno())
            syncs.append(time.perf_counter() - began)
    Path(file.name).unlink()
    return {"loop_ms": round(median(loops) * 1000, 2), "fsync_ms": round(median(syncs) * 1000, 2)}
