"""What a storm is: a function with a name and a sentence, in the register of all."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from storms.world import World

Blow = Callable[[World, Random, float], None]


@dataclass(frozen=True)
class Storm:
    """One kind of trouble.

    run: makes it, for so many seconds; what it leaves broken is healed after it.
    wired: all processes reach their servers through proxies, which can misbehave.
    late: the servers are down when the processes start.
    excuses: figures of the verdict that nobody can keep at zero here, and the guarantees say why.
    """

    name: str
    sentence: str
    run: Blow
    wired: bool = False
    late: bool = False
    excuses: frozenset[str] = frozenset()


STORMS: dict[str, Storm] = {}


def storm(
    name: str, sentence: str, *, wired: bool = False, late: bool = False, excuses: str = ""
) -> Callable[[Blow], Blow]:
    """Put a function into the register of all storms."""

    def register(run: Blow) -> Blow:
        STORMS[name] = Storm(name, sentence, run, wired, late, frozenset(excuses.split()))
        return run

    return register


def turns(seconds: float, pause: float) -> range:
    """How many times something happens in a storm of so many seconds: once at least."""
    return range(max(1, int(seconds / pause)))
