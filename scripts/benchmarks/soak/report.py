"""Whether a load was held: each figure of the end beside the start's, with the limit it has."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from benchmarks.results import Figure
from benchmarks.soak.resources import HOT_TABLES, Pulse
from benchmarks.soak.timings import HTTP_REFERENCE, LOOKS, REFERENCE, Speed
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
HEADINGS = ("orders", "memory", "sessions", "connections", "channels", "ready", "unacked",
            "outbox", "hot tables", "history an order")  # fmt: skip


def show(quiet: Sequence[Pulse]) -> None:
    """Print the quiet moments, one a line."""
    print()
    print_table(HEADINGS, [(_cells(pulse), "") for pulse in quiet])


def _cells(pulse: Pulse) -> list[str]:
    return [
        f"{pulse.placed:,}",
        f"{sum(pulse.memory.values()):,.0f} MB",
        str(pulse.sessions),
        str(pulse.connections),
        str(pulse.channels),
        str(pulse.ready),
        str(pulse.unacked),
        str(sum(pulse.outbox.values())),
        f"{_hot(pulse) / 1e6:.1f} MB",
        f"{_history(pulse):,.0f} B",
    ]


def in_words(pulse: Pulse) -> str:
    """One line for those who watch."""
    words = zip(HEADINGS[1:], _cells(pulse)[1:], strict=True)
    return ", ".join(f"{name} {value}" for name, value in words)


def figures(
    quiet: Sequence[Pulse],
    busy: Sequence[Pulse],
    speeds: Sequence[Speed],
    spent: Sequence[Mapping[str, float]],
) -> list[Figure]:
    """All figures; `met` says which limits are kept.

    quiet: what there was after the warm-up and each leg; busy: while it ran; speeds: at the start,
    in the middle, at the end; spent: microseconds an order, of the warm-up and each leg.
    """
    orders = quiet[-1].placed
    found = [
        *_speeds(f"{orders:,} orders", speeds),
        _spent(spent),
        *_memory(quiet),
        *_counts(quiet),
        *_tables(quiet, busy),
    ]
    found[0].details["quiet"] = [pulse.as_json() for pulse in quiet]
    found[0].details["spent_us_per_order"] = [dict(each) for each in spent]
    return found


def _speeds(what: str, speeds: Sequence[Speed]) -> list[Figure]:
    """Each kind at the end against the start, both by the reference of their own moment."""
    first, *_, last = speeds

    def figure(name: str, reference: str, of: Callable[[Speed, str], float]) -> Figure:
        drift = of(last, reference) / of(first, reference)
        start = of(first, name) * drift
        details = {"drift_of_reference": round(drift, 3), "medians": [s.as_json() for s in speeds]}
        return Figure(
            f"{name} after {what}", of(last, name), "µs", SLOWER * start, lower=True,
            against=("start", start), details=details,
        )  # fmt: skip

    return [
        *(
            figure(name, REFERENCE, Speed.cpu_us)
            for name in ("intake", "claim", "finish", "status")
        ),
        figure("GET status", HTTP_REFERENCE, Speed.wall_us),
        # Of these nothing is demanded: they read the newest orders, or today's.
        *(
            replace(figure(f"GET {path}", HTTP_REFERENCE, Speed.wall_us), goal=None)
            for path in LOOKS
        ),
    ]


def _spent(spent: Sequence[Mapping[str, float]]) -> Figure:
    """Processor time an order in the last leg against the first one after the warm-up."""
    first, last = spent[1]["all"], spent[-1]["all"]
    return Figure(
        "processor time an order, last leg", last, "µs", SLOWER * first, lower=True,
        against=("first leg", first),
    )  # fmt: skip


def _settled(quiet: Sequence[Pulse]) -> Pulse:
    return next(p for p in quiet if p.placed >= SETTLED * quiet[-1].placed)


def _memory(quiet: Sequence[Pulse]) -> list[Figure]:
    early, last = _settled(quiet), quiet[-1]
    found = []
    for name, megabytes in last.memory.items():
        share, more = MEMORY.get(name, MEMORY[""])
        before = early.memory[name]
        found.append(
            Figure(
                f"memory of {name}",
                megabytes,
                "MB",
                round(before * share + more, 1),
                lower=True,
                against=("early", before),
            )
        )
    return found


def _counts(quiet: Sequence[Pulse]) -> list[Figure]:
    """Sessions and connections stay as many as they were; messages are none when all is quiet."""
    early, last = _settled(quiet), quiet[-1]

    def same(work: str, of: Callable[[Pulse], int | None], more: int = 0) -> Figure:
        before, now = of(early) or 0, of(last) or 0
        return Figure(work, now, "", before + more, lower=True, against=("early", before))

    def none(work: str, of: Callable[[Pulse], int | None]) -> Figure:
        return Figure(work, max(of(pulse) or 0 for pulse in quiet), "", 0, lower=True)

    return [
        same("database sessions", lambda p: p.sessions, more=1),  # the vacuum's comes and goes
        same("broker connections", lambda p: p.connections),
        same("broker channels", lambda p: p.channels),
        none("messages unacked, when quiet", lambda p: p.unacked),
        none("messages ready, when quiet", lambda p: p.ready),
        none("rows in the outbox, when quiet", lambda p: sum(p.outbox.values())),
    ]


def _tables(quiet: Sequence[Pulse], busy: Sequence[Pulse]) -> list[Figure]:
    """Hot tables by their peaks in each half of the run, since vacuum lets them rise and fall."""
    early, last = _settled(quiet), quiet[-1]
    found = []
    for name in HOT_TABLES:
        before, after = (peak / 1e6 for peak in _peaks(name, quiet, busy))
        found.append(
            Figure(
                f"table {name}, second half",
                after,
                "MB",
                round(SLOWER * before + HOT_MB, 2),
                lower=True,
                against=("first half", before),
            )
        )
    kept = _history(early)
    found.append(
        Figure(
            "history, bytes an order",
            _history(last),
            "B",
            SLOWER * kept,
            lower=True,
            against=("early", kept),
        )
    )
    return found


def _peaks(name: str, quiet: Sequence[Pulse], busy: Sequence[Pulse]) -> tuple[int, int]:
    half = quiet[-1].placed / 2
    first, second = 0, 0
    for pulse in (*quiet, *busy):
        if pulse.placed <= half:
            first = max(first, pulse.tables[name].all)
        else:
            second = max(second, pulse.tables[name].all)
    return first, second


def _hot(pulse: Pulse) -> int:
    return sum(size.all for name, size in pulse.tables.items() if name in HOT_TABLES)


def _history(pulse: Pulse) -> float:
    kept = sum(size.all for name, size in pulse.tables.items() if name not in HOT_TABLES)
    return kept / pulse.placed
