"""PostgreSQL killed, hung, or refusing to write."""

import time
from random import Random

from storms.storm import storm
from storms.world import World, set_read_only

KILLS = 3
HANG_SECONDS = 20.0
DOWN_SECONDS = 2.0


@storm("database-killed", "kill -9 of PostgreSQL, three times")
def database_killed(world: World, random: Random, seconds: float) -> None:
    """It recovers from its log each time."""
    for _ in range(KILLS):
        world.servers.postgres.kill9()
        time.sleep(random.uniform(0.2, 1.0) * DOWN_SECONDS)
        world.servers.postgres.start()
        world.note_healed()
        time.sleep(seconds / KILLS)


@storm("database-hung", "SIGSTOP of PostgreSQL for 20 s")
def database_hung(world: World, random: Random, seconds: float) -> None:
    """Connections stand, and nothing comes out of them."""
    world.servers.postgres.pause()
    time.sleep(min(HANG_SECONDS, seconds))
    world.servers.postgres.resume()
    world.note_healed()
    time.sleep(random.uniform(0.5, 1.5))


@storm("read-only", "PostgreSQL refuses every write, as with a full disk")
def read_only(world: World, random: Random, seconds: float) -> None:
    """It answers what is only asked."""
    set_read_only(world, True)
    time.sleep(random.uniform(0.3, 0.6) * seconds)
    set_read_only(world, False)
    world.note_healed()
