"""Load held: many orders through the whole line; what grows by it, and what gets slower.

Legs of orders, and between them a quiet moment: everything delivered, nothing under way. At the
first, a middle and the last of them the hot statements are measured; at each, all that could grow.
"""

import json
import time
from collections.abc import Sequence

from benchmarks import cpu
from benchmarks.results import Figure
from benchmarks.soak import order_flow, report
from benchmarks.soak.resources import Nurse, Pulse
from benchmarks.soak.timings import Probe, Speed
from benchmarks.stage import Site, Stage
from terminal.progress import step

ORDERS = 200_000
LEGS = 10
# Before the first look: everybody is connected, has its plans, and the tables are not empty.
WARM_UP = 500
_BETWEEN_LOOKS = 10.0


def measure(stage: Stage, quick: bool, orders: int = ORDERS) -> list[Figure]:
    """Figures of the end beside those of the start, each with its limit.

    quick: a twentieth of the orders.
    """
    orders = orders // 20 if quick else orders
    with stage.site("held") as site:
        with step("Held: opening the whole restaurant"):
            order_flow.staff(site)
        run = Run(site)
        try:
            run.leg(min(WARM_UP, orders // 5))
            run.measure_speed()
            each = max(1, (orders - run.placed) // LEGS)
            for number in range(1, LEGS + 1):
                run.leg(each if number < LEGS else orders - run.placed)
                if number in (LEGS // 2, LEGS):
                    run.measure_speed()
        finally:
            run.close()
    report.show(run.quiet)
    return report.figures(run.quiet, run.busy, run.speeds, run.spent)


class Run:
    """One run: what was placed, and what was seen on the way."""

    def __init__(self, site: Site) -> None:
        """The site is staffed, and nothing ordered."""
        self.placed = 0
        self.quiet: list[Pulse] = []
        self.busy: list[Pulse] = []
        self.speeds: list[Speed] = []
        self.spent: list[dict[str, float]] = []
        self._site = site
        self._nurse = Nurse(site)
        self._probe = Probe(site)
        self._groups = site.groups(
            **{name: [process.pid] for name, process in site.processes.items()}
        )

    def leg(self, count: int) -> None:
        """Send orders, wait until all are delivered and heard of, then look."""
        before, began = cpu.snapshot(self._groups), time.monotonic()
        done, looked = self.placed, began

        def tick(placed: int) -> None:
            nonlocal looked
            if time.monotonic() - looked > _BETWEEN_LOOKS:
                looked = time.monotonic()
                self.busy.append(self._nurse.look(done + placed))

        with step(f"Held: orders {done + 1:,} to {done + count:,}"):
            refused = order_flow.send(self._site, count, tick)
            unacked = self._nurse.look(done + count, broker=True)
            order_flow.drain(self._site, self._nurse.queues_empty)
        rate = count / (time.monotonic() - began)
        self.busy.append(unacked)
        self.placed += count
        self.spent.append(cpu.per_order(before, cpu.snapshot(self._groups), count))
        self._nurse.wait_for_vacuum()
        self.quiet.append(self._nurse.look(self.placed, broker=True))
        used = self.spent[-1]["all"]
        print(f"    {rate:,.0f} orders/s, {used:,.0f} µs of processor an order, {refused} refused")
        print(f"    {report.in_words(self.quiet[-1])}", flush=True)

    def measure_speed(self) -> None:
        """Measure the hot statements at this quiet moment."""
        with step(f"Held: speed after {self.placed:,} orders"):
            self.speeds.append(self._probe.measure())

    def close(self) -> None:
        """Close what was opened, and keep what was seen beside the logs."""
        self._probe.close()
        (self._site.folder / "pulses.json").write_text(_json(self.quiet, self.busy))


def _json(quiet: Sequence[Pulse], busy: Sequence[Pulse]) -> str:
    document = {"quiet": [p.as_json() for p in quiet], "busy": [p.as_json() for p in busy]}
    return json.dumps(document, indent=1)
