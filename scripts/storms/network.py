"""The network between the processes and their servers: cut, slow, silent."""

import time
from random import Random

from storms.storm import storm
from storms.world import World

CUTS = 12
MOST_DELAY_SECONDS = 0.02


@storm("network", "connections cut, delayed and black-holed", wired=True)
def network(world: World, random: Random, seconds: float) -> None:
    """A third of the time each, on the way to either server."""
    for _ in range(CUTS):
        time.sleep(random.uniform(0.5, 1.5) * seconds / 3 / CUTS)
        random.choice(world.wires).reset()
    world.note_healed()
    for wire in world.wires:
        wire.delay = random.uniform(0.2, 1.0) * MOST_DELAY_SECONDS
    time.sleep(seconds / 3)
    for wire in world.wires:
        wire.delay = 0.0
    for wire in random.sample(world.wires, 2):
        wire.swallow()
        time.sleep(seconds / 6)
        wire.heal()
        world.note_healed()
