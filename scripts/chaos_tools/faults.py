"""What happens to either server alike: it crashes, it hangs."""

import time
from random import Random

from chaos_tools.cluster import World
from devservices import Postgres, RabbitMQ

CRASHES = 3
MOST_DOWN_SECONDS = 2.0


def crash(world: World, server: Postgres | RabbitMQ, random: Random, seconds: float) -> None:
    """kill -9 three times; it comes back with what was on its disk."""
    for _ in range(CRASHES):
        world.journal.note_struck()
        server.kill9()
        time.sleep(random.uniform(0.1, 1.0) * MOST_DOWN_SECONDS)
        server.start()
        world.journal.note_healed()
        time.sleep(seconds / CRASHES)


def hang(world: World, server: Postgres | RabbitMQ, random: Random, seconds: float) -> None:
    """SIGSTOP: connections stand, and nothing comes out of them."""
    time.sleep(random.uniform(0.0, 1.0))
    world.journal.note_struck()
    server.pause()
    time.sleep(seconds)
    server.resume()
    world.journal.note_healed()
