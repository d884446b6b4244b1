"""The network between the processes and their servers: cut, slow, silent."""

import time
from itertools import product
from random import Random

from chaos_tools.cluster import World
from chaos_tools.scenario import storm

CUTS = 12
MOST_BYTES = 20_000  # that a connection may still carry before it is cut
MOST_DELAY_SECONDS = 0.02


@storm(
    "network", "connections cut at any byte, delayed and black-holed",
    wired=True, spares_guests=False,
)  # fmt: skip
def network(world: World, random: Random, seconds: float) -> None:
    """A third of the time each, on the way to either server."""
    for turn in range(CUTS):
        time.sleep(random.uniform(0.5, 1.5) * seconds / 3 / CUTS)
        wire = random.choice(world.wires)
        if turn % 2:
            wire.reset()
        else:
            wire.cut_within(random, MOST_BYTES)
    world.journal.note_healed()
    for wire in world.wires:
        wire.delay = random.uniform(0.2, 1.0) * MOST_DELAY_SECONDS
    time.sleep(seconds / 3)
    for wire in world.wires:
        wire.delay = 0.0
    for wire in random.sample(world.wires, 2):
        world.journal.note_struck()
        wire.swallow()
        time.sleep(seconds / 6)
        wire.heal()
        world.journal.note_healed()


@storm(
    "one-way", "black holes in one direction only, on the way to either server and back",
    wired=True, spares_guests=False, longer=2.0,
)  # fmt: skip
def one_way(world: World, random: Random, seconds: float) -> None:
    """What one side says arrives, and nothing comes back; or the other way round."""
    holes = list(product(world.wires, (True, False)))
    random.shuffle(holes)
    for wire, to_server in holes:
        world.journal.note_struck()
        wire.swallow(to_server=to_server, to_client=not to_server)
        time.sleep(seconds / len(holes) / 2)
        wire.heal()
        world.journal.note_healed()
        time.sleep(seconds / len(holes) / 2)
