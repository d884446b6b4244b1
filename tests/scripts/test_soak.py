"""The verdict on a held load: what grew by it, and what got slower."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.results import Result
from benchmarks.soak.report import in_words, soak_results
from benchmarks.soak.resources import HOT_TABLES, SoakSample, TableSize
from benchmarks.soak.timings import HTTP_REFERENCE, READ_PATHS, REFERENCE, Timings

MB = 1 << 20
KINDS = (
    "intake",
    "claim",
    "finish",
    "status",
    "GET status",
    *(f"GET {path}" for path in READ_PATHS),
)


def sample(placed: int, *, message_mb: float = 3.0, cook_mb: float = 30.0) -> SoakSample:
    tables = {name: TableSize(8192, 8192, 1, 0, 0) for name in HOT_TABLES}
    tables["message"] = TableSize(int(message_mb * MB), 0, 0, 0, 0)
    tables["orders"] = TableSize(placed * 500, placed * 100, placed, 0, 0)
    return SoakSample(
        placed, placed / 10, {"cook_1": cook_mb, "postgres": 100}, 30, {}, tables, 10, 10, 0, 0
    )


def timing(factor: float = 1.0, **slower: float) -> Timings:
    found = Timings()
    for name in (*KINDS, REFERENCE, HTTP_REFERENCE):
        for sample in (1e-4, 2e-4, 9e-4):
            found.add(name, sample * factor * slower.get(name, 1.0), sample * factor / 2)
    return found


QUIET = [sample(placed) for placed in (500, 2000, 5000, 10_000)]
SPEEDS = [timing(), timing(), timing()]
SPENT = [{"all": 9000.0}, {"all": 4000.0}, {"all": 4100.0}, {"all": 4200.0}]


def missed(found: list[Result]) -> list[str]:
    return [result.work for result in found if result.met is False]


def test_a_run_without_growth_is_good() -> None:
    assert missed(soak_results(QUIET, [], SPEEDS, SPENT)) == []


def test_a_machine_that_got_slower_slows_the_reference_too() -> None:
    assert missed(soak_results(QUIET, [], [timing(), timing(), timing(3.0)], SPENT)) == []


def test_a_request_that_got_slower_than_its_reference_is_named() -> None:
    timings = [timing(), timing(), timing(**{"GET status": 1.3})]
    assert missed(soak_results(QUIET, [], timings, SPENT)) == ["GET status after 10,000 orders"]


def test_what_grew_is_named() -> None:
    grown = [*QUIET[:-1], sample(10_000, cook_mb=60)]
    assert missed(soak_results(grown, [], SPEEDS, SPENT)) == ["memory of cook_1"]
    busy = [sample(9_000, message_mb=30)]
    assert missed(soak_results(QUIET, busy, SPEEDS, SPENT)) == ["table message, second half"]


def test_what_is_left_behind_at_a_quiet_moment_is_named() -> None:
    left = [*QUIET[:-1], replace(QUIET[-1], unacked=3, outbox={"sent": 1}, sessions=40)]
    assert missed(soak_results(left, [], SPEEDS, SPENT)) == [
        "database sessions",
        "messages unacked, when quiet",
        "rows in the outbox, when quiet",
    ]
    assert "unacked 3" in in_words(left[-1])


def test_an_order_that_costs_more_in_the_end_is_named() -> None:
    spent = [*SPENT[:-1], {"all": 5000.0}]
    assert missed(soak_results(QUIET, [], SPEEDS, spent)) == ["processor time an order, last phase"]
