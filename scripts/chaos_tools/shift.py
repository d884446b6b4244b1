"""Times at which no cook is on shift."""

from collections.abc import Iterator
from contextlib import contextmanager

from chaos_tools.cluster import World


@contextmanager
def without_cooks(world: World) -> Iterator[None]:
    """Stop all cooks in good order, and start them again at the end of the block."""
    flags = {name: world.members[name].flags for name in world.cooks}
    for name in flags:
        world.dismiss(name)
    try:
        yield
    finally:
        for name, given in flags.items():
            world.hire(name, given)
        world.journal.note_healed()
