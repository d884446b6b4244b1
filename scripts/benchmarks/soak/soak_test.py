"""Soak test: many orders through all stations; what grows by it, and what gets slower.

phases of orders, and between them a quiet moment: everything delivered, nothing under way. At the
first, a middle and the last of them the hot statements are measured; at each, all that could grow.
"""

import json
import time
from contextlib import closing
from dataclasses import asdict

from benchmarks import cpu
from benchmarks.environment import BenchCluster, BenchEnvironment
from benchmarks.results import Result
from benchmarks.soak import order_flow, report
from benchmarks.soak.resources import SoakSample, SoakSampler
from benchmarks.soak.timings import StatementProbe, Timings
from terminal.progress import step

ORDERS = 200_000
PHASES = 10
# Before the first sample: all are connected, plans are cached, and the tables are not empty.
WARM_UP = 500
_BETWEEN_LOOKS = 10.0


def measure(environment: BenchEnvironment, quick: bool, orders: int = ORDERS) -> list[Result]:
    """Values of the end and of the start, each with its limit.

    quick: a twentieth of the orders.
    """
    orders = orders // 20 if quick else orders
    with environment.cluster("soak") as cluster:
        with step("Soak test: opening the whole restaurant"):
            order_flow.start_processes(cluster)
        with closing(SoakRun(cluster)) as run:
            run.phase(min(WARM_UP, orders // 5))
            run.measure_timings()
            each = max(1, (orders - run.placed) // PHASES)
            for number in range(1, PHASES + 1):
                run.phase(each if number < PHASES else orders - run.placed)
                if number in (PHASES // 2, PHASES):
                    run.measure_timings()
    report.show(run.quiet)
    return report.soak_results(run.quiet, run.busy, run.timings, run.spent)


class SoakRun:
    """One run on a cluster that has started: what was placed, and what was seen on the way."""

    def __init__(self, cluster: BenchCluster) -> None:
        self.placed = 0
        self.quiet: list[SoakSample] = []
        self.busy: list[SoakSample] = []
        self.timings: list[Timings] = []
        self.spent: list[dict[str, float]] = []
        self._cluster = cluster
        self._sampler = SoakSampler(cluster)
        self._probe = StatementProbe(cluster)
        self._groups = cluster.groups()

    def phase(self, count: int) -> None:
        """Send orders, wait until all are delivered, then take a sample."""
        before, began = cpu.snapshot(self._groups), time.monotonic()
        done, looked = self.placed, began

        def tick(placed: int) -> None:
            nonlocal looked
            if time.monotonic() - looked > _BETWEEN_LOOKS:
                looked = time.monotonic()
                self.busy.append(self._sampler.sample(done + placed))

        with step(f"Soak test: orders {done + 1:,} to {done + count:,}"):
            refused = order_flow.send(self._cluster, count, tick)
            unacked = self._sampler.sample(done + count, broker=True)
            order_flow.drain(self._cluster, self._sampler.queues_empty)
        rate = count / (time.monotonic() - began)
        self.busy.append(unacked)
        self.placed += count
        self.spent.append(cpu.per_order(before, cpu.snapshot(self._groups), count))
        self._sampler.wait_for_vacuum()
        self.quiet.append(self._sampler.sample(self.placed, broker=True))
        used = self.spent[-1]["all"]
        print(f"    {rate:,.0f} orders/s, {used:,.0f} µs of processor an order, {refused} refused")
        print(f"    {report.in_words(self.quiet[-1])}", flush=True)

    def measure_timings(self) -> None:
        """Measure the hot statements at this quiet moment."""
        with step(f"Soak test: speed after {self.placed:,} orders"):
            self.timings.append(self._probe.measure())

    def close(self) -> None:
        """Close what was opened, and write the samples next to the logs."""
        self._probe.close()
        samples = {"quiet": self.quiet, "busy": self.busy}
        document = {kind: [asdict(each) for each in found] for kind, found in samples.items()}
        (self._cluster.folder / "samples.json").write_text(json.dumps(document, indent=1))
