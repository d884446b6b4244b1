"""What goes wrong in a schedule: a few of these, at moments that the seed decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .scheduler import Process
    from .world import Cook, World

# How long the broker hears nothing from a frozen process until it takes its tickets back.
_SILENCE_S = 0.8


class Storms:
    """The weather of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = world.rng
        self._scheduler = world.scheduler
        self._prey: str | None = None

    def brew(self, seconds: float) -> None:
        """Decide what will happen in the coming seconds."""
        kinds: list[Callable[[], None]] = [
            self._kill, self._kill, self._freeze, self._freeze, self._stop, self._cut_database,
            self._cut_broker, self._crash_broker, self._wipe_broker, self._wipe_broker,
            self._crash_database,
            self._duplicate, self._duplicate, self._refuse, self._slow,
            self._lie_in_wait, self._lie_in_wait, self._lie_in_wait, self._lie_in_wait,
        ]  # fmt: skip
        for _ in range(self._rng.choice((0, 1, 1, 2, 2, 3, 4))):
            self._scheduler.at(self._rng.random() * seconds, self._rng.choice(kinds))

    def calm(self) -> None:
        """Nothing new goes wrong, and there are two cooks."""
        world = self._world
        world.broker.slowness = 0.005
        world.broker.refusing = 0.0
        self._prey = None
        self._scheduler.note("*** calm weather")
        while len(world.living) < 2:
            world.hire()

    def after(self, what: str, whose: Process | None) -> None:
        """Something has just happened; strike if that was waited for."""
        if what == self._prey:
            self._prey = None
            self._scheduler.at(self._rng.random() * 0.004, lambda: self._strike(whose))

    def _lie_in_wait(self) -> None:
        """Hit a process right after its next commit of some kind, or the broker after a message."""
        self._prey = self._rng.choice(("claimed", "step", "effect", "buried", "sent", "accepted"))

    def _strike(self, whose: Process | None) -> None:
        if whose is None:
            self._world.broker.crash(self._rng.random(), wiped=self._rng.random() < 0.3)
            return
        for cook in self._world.cooks:
            if cook.process is whose and not whose.dead:
                self._rng.choice((self._kill, self._freeze, self._cut))(cook)

    def _cut(self, cook: Cook) -> None:
        self._scheduler.note(f"*** the database connections of {cook.process.name} are cut")
        for each in list(self._world.database.connections):
            if each.process is cook.process:
                self._world.database.end(each)

    def _someone(self) -> Cook | None:
        """A cook, rather one that has something in hand."""
        living = self._world.living
        busy = [each for each in living if each.busy]
        return self._rng.choice(busy or living) if living else None

    def _kill(self, cook: Cook | None = None) -> None:
        cook = cook or self._someone()
        if cook is not None:
            self._scheduler.kill(cook.process)
            self._scheduler.at(self._rng.random(), self._world.hire)

    def _freeze(self, cook: Cook | None = None) -> None:
        cook = cook or self._someone()
        if cook is None:
            return
        seconds = self._rng.choice((0.3, 2.5, 4.0))
        self._scheduler.freeze(cook.process, seconds)
        if seconds > _SILENCE_S:
            for link in [x for x in self._world.broker.links if x.process is cook.process]:
                self._scheduler.at(_SILENCE_S, lambda link=link: self._world.broker.end(link))

    def _stop(self) -> None:
        cook = self._someone()
        if cook is not None:
            self._scheduler.note(f"*** {cook.process.name} is told to stop")
            cook.worker._stop.set()
            self._scheduler.at(self._rng.random(), self._world.hire)

    def _cut_database(self) -> None:
        connections = self._world.database.connections
        if connections:
            one = self._rng.choice(connections)
            self._scheduler.note(f"*** a database connection of {one.process.name} is cut")
            self._world.database.end(one)

    def _cut_broker(self) -> None:
        links = self._world.broker.links
        if links:
            one = self._rng.choice(links)
            self._scheduler.note(f"*** the broker's connection of {one.process.name} is cut")
            self._world.broker.end(one)

    def _crash_broker(self) -> None:
        self._world.broker.crash(self._rng.random())

    def _wipe_broker(self) -> None:
        self._world.broker.crash(self._rng.random(), wiped=True)

    def _crash_database(self) -> None:
        self._world.database.crash(self._rng.random())

    def _duplicate(self) -> None:
        for _ in range(self._rng.randint(1, 3)):
            self._world.broker.duplicate()

    def _refuse(self) -> None:
        self._scheduler.note("*** RabbitMQ refuses messages")
        self._world.broker.refusing = self._scheduler.now + self._rng.random()

    def _slow(self) -> None:
        self._scheduler.note("*** queues are slow")
        self._world.broker.slowness = 0.5
