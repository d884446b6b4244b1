"""The verdict: what the database says of the orders, beside the numbers that guests were told."""

from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from chaos_tools.checks import queries
from chaos_tools.checks.latency import Latency
from chaos_tools.cluster import World
from chaos_tools.process_specs import SUBSCRIBER
from chaos_tools.scenario import RECOVERY_SECONDS, Storm
from chaos_tools.workload.responses import Answers
from pizza.domain.status import RECEIVED, TRANSITIONS

BAD = (
    "lost", "doubled", "overlapping", "wrong", "missing", "unheard", "disordered", "died",
    "odd_lines", "failures", "denied", "late", "grown",
)  # fmt: skip

# 503 within two seconds is the promise. It is judged by 95 of 100 answers, and the slowest is
# shown: the guests share the machine with servers that start, and one who was not let at the
# processor for a second says nothing of the service.
ANSWER_SECONDS = 2.0
DRAIN_SECONDS = 30.0
_SPEED_SPAN = 2.0
_SPEED_SHARE = 0.8


@dataclass
class Verdict:
    """What one storm left behind. Everything that is named in BAD has to be empty.

    lost … disordered: orders by number. spilled: what is unheard because the broker, which had
    confirmed it, lost its disk with it. failures: orders that the guests could not place at all,
    and what a storm saw broken. denied: other answers than 201 where only that is right.
    late: promises of time that were not kept. grown: memory and connections.
    recovery: the longest time from a mend to full speed. drained: from the last mend until what
    had been in the outbox was sent. answers: seconds of 95 of 100 answers, and of the slowest.
    latencies: what the scenario itself measured; what exceeds its limit is `late`.
    """

    storm: str
    seed: int
    seconds: float
    accepted: int = 0
    delivered: int = 0
    unanswered: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    overlapping: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unheard: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    died: list[str] = field(default_factory=list)
    odd_lines: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    grown: list[str] = field(default_factory=list)
    spilled: list[str] = field(default_factory=list)
    hits: int = 0
    aimed: int = 0
    answers: tuple[float, float] = (0.0, 0.0)
    recovery: float = 0.0
    drained: float = 0.0
    slowest: float = 0.0
    latencies: list[Latency] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether all that has to be zero is."""
        return not any(getattr(self, name) for name in BAD)

    def as_json(self) -> dict[str, Any]:
        """For the file beside the table."""
        return asdict(self) | {"good": self.good}


def read(
    world: World, accepted: Collection[str], verdict: Verdict, *, rate: float = 1.0
) -> Verdict:
    """Fill in what the database says, and what the storm noted. rate: orders a second."""

    def numbers(query: str, **values: Any) -> list[str]:
        return sorted(row[0] for row in world.rows(query, **values))

    told = Counter(accepted)
    verdict.accepted = len(accepted)
    verdict.delivered = delivered(world)
    verdict.lost = numbers(queries.LOST, accepted=list(accepted))
    verdict.doubled = numbers(queries.DOUBLED)
    verdict.doubled += [f"{number} told twice" for number, times in told.items() if times > 1]
    verdict.overlapping = numbers(queries.OVERLAPPING)
    verdict.wrong = wrong_steps(world.rows(queries.STEPS))
    verdict.missing = numbers(queries.MISSING) + numbers(queries.OUTBOX)
    verdict.unheard, verdict.spilled = unheard(world)
    verdict.disordered = numbers(queries.DISORDERED)
    verdict.lost += world.journal.lost
    verdict.doubled += world.journal.doubled
    verdict.died, verdict.odd_lines = list(world.died), world.odd_lines()
    verdict.failures += world.journal.complaints
    verdict.latencies = list(world.journal.latencies)
    verdict.hits, verdict.aimed = world.journal.hits, world.journal.aimed
    verdict.recovery = longest_recovery(world, rate)
    verdict.slowest = world.value(queries.SLOWEST)
    return verdict


def judge_times(verdict: Verdict, storm: Storm, answers: Answers) -> None:
    """What came too late, and what should have been a 201."""
    verdict.answers = answers.seconds()
    limits = (
        ("95 of 100 answers", verdict.answers[0], ANSWER_SECONDS),
        ("full speed", verdict.recovery, storm.recovery),
        ("an empty outbox", verdict.drained, DRAIN_SECONDS),
    )
    verdict.late = [
        f"{what} after {seconds:.1f} s instead of {limit:g}"
        for what, seconds, limit in limits
        if seconds > limit
    ]
    verdict.late += [str(each) for each in verdict.latencies if each.exceeded]
    if storm.spares_guests:
        verdict.denied = answers.denied()


def delivered(world: World) -> int:
    """How many orders are with their guests."""
    return int(world.value("select count(*) from orders where status = 'delivered'"))


def undone(world: World, accepted: Collection[str]) -> int:
    """How much is still to come: orders to deliver, messages to send, changes to be heard."""
    orders = len(world.rows(queries.LOST, accepted=list(accepted)))
    return int(orders + world.value("select count(*) from message") + len(unheard(world)[0]))


def unheard(world: World) -> tuple[list[str], list[str]]:
    """Changes that did not reach who should hear them, and those of them that were spilled."""
    found: tuple[list[str], list[str]] = ([], [])
    for what, id in world.rows(queries.UNHEARD, subscriber=SUBSCRIBER):
        found[id in world.journal.spilled].append(what)
    return sorted(found[0]), sorted(found[1])


def longest_recovery(world: World, rate: float) -> float:
    """The longest time from a mend to full speed; 0 where nothing was left to cook.

    Where a server is taken away again before, that mend says nothing, unless it lasted longer than
    the promise.
    """
    found = [0.0]
    for moment in world.journal.healed:
        until = min((each for each in world.journal.struck if each > moment), default=None)
        seconds = recovery(world, rate, moment, until or datetime.now(UTC) + timedelta(days=1))
        if seconds is not None:
            found.append(seconds)
        elif until is not None and (until - moment).total_seconds() > RECOVERY_SECONDS:
            found.append((until - moment).total_seconds())
    return max(found)


def recovery(world: World, rate: float, moment: datetime, until: datetime) -> float | None:
    """Seconds from a mend until cooking is as fast as ordering; None where nobody cooked."""
    count = max(1, round(_SPEED_SHARE * _SPEED_SPAN * rate))
    values = {"moment": moment, "until": until, "count": count, "span": _SPEED_SPAN}
    seconds = world.value(queries.RECOVERY, **values)
    return None if seconds is None else float(seconds)


def wrong_steps(steps: Collection[tuple[Any, ...]]) -> list[str]:
    """Orders with a change of status that the table of the domain does not know."""
    known = {(row.source, row.target, kind) for row in TRANSITIONS for kind in row.order_types}
    return sorted(
        {
            number
            for number, kind, status, before in steps
            if (before, status, kind) not in known and status != (before or RECEIVED)
        }
    )
