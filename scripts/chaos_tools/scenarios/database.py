"""PostgreSQL killed, hung, or refusing to write."""

import time
from random import Random

from chaos_tools.cluster import World, set_read_only
from chaos_tools.faults import crash, hang
from chaos_tools.scenario import storm

HANG_SECONDS = 20.0


@storm("database-killed", "kill -9 of PostgreSQL, three times", spares_guests=False)
def database_killed(world: World, random: Random, seconds: float) -> None:
    """It recovers from its log each time."""
    crash(world, world.servers.postgres, random, seconds)


@storm("database-hung", f"SIGSTOP of PostgreSQL for {HANG_SECONDS:.0f} s", spares_guests=False)
def database_hung(world: World, random: Random, seconds: float) -> None:
    """Guests hear 503 meanwhile."""
    hang(world, world.servers.postgres, random, min(HANG_SECONDS, seconds))


@storm("read-only", "PostgreSQL refuses every write, as with a full disk", spares_guests=False)
def read_only(world: World, random: Random, seconds: float) -> None:
    """It answers what is only asked."""
    world.journal.note_struck()
    set_read_only(world, True)
    time.sleep(random.uniform(0.3, 0.6) * seconds)
    set_read_only(world, False)
    world.journal.note_healed()
