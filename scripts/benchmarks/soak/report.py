"""The results of a soak test: each value at the end with the one at the start and its limit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from benchmarks.results import Result, at_most
from benchmarks.soak.resources import HOT_TABLES, SoakSample
from benchmarks.soak.timings import HTTP_REFERENCE, READ_PATHS, REFERENCE, Timings
from terminal.tables import print_table

SLOWER = 1.2  # of a statement, a request, an order's processor time
# Memory settles within the first orders: so it is compared with a fifth of the way.
SETTLED = 0.2
# What a process may grow by: a share, and megabytes that allocators come and go by.
MEMORY: Mapping[str, tuple[float, float]] = {
    "postgres": (1.3, 30.0),
    "rabbitmq": (1.5, 60.0),
    "": (1.15, 4.0),
}
HOT_MB = 2.0  # hot tables may grow by so much, and by SLOWER


def show(quiet: Sequence[SoakSample]) -> None:
    """Print the quiet moments, one a line."""
    rows = [{"orders": f"{sample.placed:,}"} | _columns(sample) for sample in quiet]
    print()
    print_table(list(rows[0]), [(list(row.values()), "") for row in rows])


def in_words(sample: SoakSample) -> str:
    """A sample in one line."""
    return ", ".join(f"{name} {value}" for name, value in _columns(sample).items())


def _columns(sample: SoakSample) -> dict[str, str]:
    return {
        "memory": f"{sum(sample.memory.values()):,.0f} MB",
        "sessions": str(sample.sessions),
        "connections": str(sample.connections),
        "channels": str(sample.channels),
        "ready": str(sample.ready),
        "unacked": str(sample.unacked),
        "outbox": str(sum(sample.outbox.values())),
        "hot tables": f"{_hot(sample) / 1e6:.1f} MB",
        "history an order": f"{_history(sample):,.0f} B",
    }


def soak_results(
    quiet: Sequence[SoakSample],
    busy: Sequence[SoakSample],
    timings: Sequence[Timings],
    spent: Sequence[Mapping[str, float]],
) -> list[Result]:
    """All results; `met` says which limits are kept.

    quiet: after the warm-up and each phase; busy: while it ran; timings: at the start,
    in the middle, at the end; spent: microseconds an order, of the warm-up and each phase.
    """
    orders = quiet[-1].placed
    found = [
        *_speeds(f"{orders:,} orders", timings),
        _spent(spent),
        *_memory(quiet),
        *_counts(quiet),
        *_tables(quiet, busy),
    ]
    found[0].details["quiet"] = [asdict(sample) for sample in quiet]
    found[0].details["spent_us_per_order"] = [dict(each) for each in spent]
    return found


def _speeds(what: str, timings: Sequence[Timings]) -> list[Result]:
    """Each kind at the end against the start, each relative to the reference then."""
    first, *_, last = timings

    def result(name: str, reference: str, of: Callable[[Timings, str], float]) -> Result:
        drift = of(last, reference) / of(first, reference)
        start = of(first, name) * drift
        details = {"drift_of_reference": round(drift, 3), "medians": [s.as_json() for s in timings]}
        more: dict[str, Any] = {"baseline": ("start", start), "details": details}
        return at_most(f"{name} after {what}", of(last, name), "µs", SLOWER * start, **more)

    statements = ("intake", "claim", "finish", "status")
    # Of pages nothing is demanded: they read the newest orders, or today's.
    pages = [result(f"GET {path}", HTTP_REFERENCE, Timings.wall_us) for path in READ_PATHS]
    return [
        *(result(name, REFERENCE, Timings.cpu_us) for name in statements),
        result("GET status", HTTP_REFERENCE, Timings.wall_us),
        *(replace(page, goal=None) for page in pages),
    ]


def _spent(spent: Sequence[Mapping[str, float]]) -> Result:
    """Processor time an order in the last phase against the first one after the warm-up."""
    first, work = spent[1]["all"], "processor time an order, last phase"
    return at_most(work, spent[-1]["all"], "µs", SLOWER * first, baseline=("first phase", first))


def _settled(quiet: Sequence[SoakSample]) -> SoakSample:
    return next(p for p in quiet if p.placed >= SETTLED * quiet[-1].placed)


def _memory(quiet: Sequence[SoakSample]) -> list[Result]:
    early, found = _settled(quiet).memory, []
    for name, megabytes in quiet[-1].memory.items():
        share, more = MEMORY.get(name, MEMORY[""])
        goal = round(early[name] * share + more, 1)
        baseline = ("early", early[name])
        found.append(at_most(f"memory of {name}", megabytes, "MB", goal, baseline=baseline))
    return found


def _counts(quiet: Sequence[SoakSample]) -> list[Result]:
    """Sessions and connections stay as many as they were; messages are none when all is quiet."""
    early, last = _settled(quiet), quiet[-1]

    def same(work: str, of: Callable[[SoakSample], int | None], more: int = 0) -> Result:
        before, now = of(early) or 0, of(last) or 0
        return at_most(work, now, "", before + more, baseline=("early", before))

    def none(work: str, of: Callable[[SoakSample], int | None]) -> Result:
        return at_most(work, max(of(sample) or 0 for sample in quiet), "", 0)

    return [
        same("database sessions", lambda p: p.sessions, more=1),  # the vacuum's comes and goes
        same("broker connections", lambda p: p.connections),
        same("broker channels", lambda p: p.channels),
        none("messages unacked, when quiet", lambda p: p.unacked),
        none("messages ready, when quiet", lambda p: p.ready),
        none("rows in the outbox, when quiet", lambda p: sum(p.outbox.values())),
    ]


def _tables(quiet: Sequence[SoakSample], busy: Sequence[SoakSample]) -> list[Result]:
    """Hot tables by their peaks in each half of the run, since vacuum lets them rise and fall."""
    found = []
    for name in HOT_TABLES:
        before, after = (peak / 1e6 for peak in _peaks(name, quiet, busy))
        work, goal = f"table {name}, second half", round(SLOWER * before + HOT_MB, 2)
        found.append(at_most(work, after, "MB", goal, baseline=("first half", before)))
    early, late = _history(_settled(quiet)), _history(quiet[-1])
    work = "history, bytes an order"
    return [*found, at_most(work, late, "B", SLOWER * early, baseline=("early", early))]


def _peaks(name: str, quiet: Sequence[SoakSample], busy: Sequence[SoakSample]) -> tuple[int, int]:
    half, peaks = quiet[-1].placed / 2, [0, 0]
    for sample in (*quiet, *busy):
        later = sample.placed > half
        peaks[later] = max(peaks[later], sample.tables[name].all)
    return peaks[0], peaks[1]


def _hot(sample: SoakSample) -> int:
    return sum(size.all for name, size in sample.tables.items() if name in HOT_TABLES)


def _history(sample: SoakSample) -> float:
    kept = sum(size.all for name, size in sample.tables.items() if name not in HOT_TABLES)
    return kept / sample.placed
