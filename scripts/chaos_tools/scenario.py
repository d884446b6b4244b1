"""What a storm is: a function with a name and a sentence, in the register of all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from chaos_tools.cluster import World

FULL_SECONDS = 30.0
RECOVERY_SECONDS = 10.0
# Where the order service itself is killed there is nothing new to cook until it has started, and
# beside a full restaurant on a busy machine that alone takes up to ten seconds.
RESTART_SECONDS = 20.0

Blow = Callable[[World, Random, float], None]


@dataclass(frozen=True)
class Storm:
    """One kind of trouble.

    run: makes it, for so many seconds; what it leaves broken is healed after it.
    wired: all processes reach their servers through proxies, which can misbehave.
    late: the servers are down when the processes start.
    spares_guests: the order service and its database are left alone, so that every request has to
        be answered with 201.
    longer, busier: times the seconds and the orders a second that were asked for.
    full_seconds: its length with --full, where that is another.
    recovery: within how many seconds of a mend there is full speed again.
    """

    name: str
    sentence: str
    run: Blow
    wired: bool = False
    late: bool = False
    spares_guests: bool = True
    longer: float = 1.0
    busier: float = 1.0
    full_seconds: float | None = None
    recovery: float = RECOVERY_SECONDS


STORMS: dict[str, Storm] = {}


def storm(
    name: str, sentence: str, *, wired: bool = False, late: bool = False,
    spares_guests: bool = True, longer: float = 1.0, busier: float = 1.0,
    full_seconds: float | None = None, recovery: float = RECOVERY_SECONDS,
) -> Callable[[Blow], Blow]:  # fmt: skip
    """Put a function into the register of all storms."""

    def register(run: Blow) -> Blow:
        STORMS[name] = Storm(
            name, sentence, run, wired, late, spares_guests, longer, busier, full_seconds, recovery
        )
        return run

    return register


def one_after_another(name: str, storms: Sequence[Storm]) -> Storm:
    """Several storms over one restaurant, each healed before the next: for small sizes."""

    def run(world: World, random: Random, seconds: float) -> None:
        for each in storms:
            each.run(world, random, seconds)
            world.heal()

    assert not any(each.late for each in storms), "nothing runs yet when that one begins"
    return Storm(
        name,
        ", ".join(each.name for each in storms),
        run,
        wired=any(each.wired for each in storms),
        spares_guests=all(each.spares_guests for each in storms),
        recovery=max(each.recovery for each in storms),
    )


def turns(seconds: float, pause: float) -> range:
    """How many times something happens in a storm of so many seconds: once at least."""
    return range(max(1, int(seconds / pause)))


def blows(most: int, seconds: float) -> int:
    """How many of at most so many blows a storm strikes that is shorter than a full one."""
    return max(2, min(most, round(most * seconds / FULL_SECONDS)))
