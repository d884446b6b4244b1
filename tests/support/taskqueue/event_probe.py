"""Measures how fast events are published while something else goes on."""

from __future__ import annotations

from typing import Self

from benchmarks.results import percentile
from chaos_tools.checks.latency_probe import LatencyProbe

from ..waiting import TIMEOUT_FACTOR, Stopwatch
from .worker_process import Harness


class EventProbe(LatencyProbe):
    """Sends events at a steady rate in a `with` block, and measures each from commit to consumer.

    At the end of the block all have to arrive.
    """

    INTERVAL_SECONDS = 0.1
    LAST_SECONDS = TIMEOUT_FACTOR * 10

    def __init__(self, harness: Harness, batch: int = 1) -> None:
        super().__init__(harness.db_url, harness.broker_url, batch)

    def __enter__(self) -> Self:
        super().__enter__()
        self._watch = Stopwatch()
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        assert error[0] is not None or not self.missing(), "all events have arrived"

    def assert_on_time(self, promised: float = 0.5) -> None:
        """99 of 100 events have arrived within so many seconds."""
        self._watch.assert_within(promised, self.percentile(0.99))

    def percentile(self, share: float) -> float:
        """The seconds within which this share of the events has arrived."""
        return percentile(self.latencies(), 100 * share)
