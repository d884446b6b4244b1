"""The faults of a schedule: a few of these, at moments that the seed decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .scheduler import Process
    from .world import Cook, World

# The time without a heartbeat after which the broker takes the deliveries of a process back.
_SILENCE_S = 0.8
# Longer than any bound, so a process that waits for its end is found.
_LONG_S = 13.0
_GRACE_S = 10.0


class FaultInjector:
    """Injects faults into one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._rng = world.rng
        self._scheduler = world.scheduler
        self._watch = world.watch
        self._awaited: str | None = None

    def schedule(self, seconds: float) -> None:
        """Schedule the faults of the coming seconds."""
        kinds: list[Callable[[], None]] = [
            self._kill, self._kill, self._freeze, self._stop, self._cut_database,
            self._cut_broker, self._crash_broker, self._wipe_broker, self._wipe_broker,
            self._crash_database,
            self._duplicate, self._duplicate, self._refuse, self._slow, self._lose,
            self._lock_rows, self._lock_rows, self._lock_rows, self._cut_off,
            self._terminate_leader, self._cut_then_stop, self._cut_then_stop,
            *[self._wait_for_moment] * 5,
        ]  # fmt: skip
        for _ in range(self._rng.choice((0, 1, 1, 2, 2, 3, 4))):
            self._scheduler.at(self._rng.random() * seconds, self._rng.choice(kinds))

    def end_faults(self) -> None:
        """End all faults, and make sure that two cooks can work."""
        world = self._world
        world.broker.slowness = 0.005
        world.broker.refusing = 0.0
        world.broker.losing = 0
        self._awaited = None
        self._scheduler.note("*** no more faults")
        self._watch.excuse()
        while sum(self._is_fit(each) for each in world.cooks) < 2:
            world.start_cook()

    def _is_fit(self, cook: Cook) -> bool:
        return (
            cook.living and not cook.frozen and cook.process not in self._world.broker.unreachable
        )

    def after(self, what: str, whose: Process | None) -> None:
        """Called after each step; injects a fault if it is the awaited one."""
        if what == self._awaited:
            self._awaited = None
            delay = self._rng.random() * (0.001 if what == "underway" else 0.004)
            self._scheduler.at(delay, lambda: self._inject_at(what, whose))

    def _wait_for_moment(self) -> None:
        """Inject a fault right after the next commit of some kind, or message at the broker."""
        self._awaited = self._rng.choice(
            (
                "claimed",
                "step",
                "effect",
                "dead-lettered",
                "sent",
                "accepted",
                "underway",
                "underway",
            )
        )

    def _inject_at(self, what: str, whose: Process | None) -> None:
        self._watch.excuse()
        if whose is None:
            self._world.broker.crash(self._rng.random(), wiped=self._rng.random() < 0.3)
            return
        for cook in self._world.cooks:
            if cook.process is whose and not whose.dead:
                if what == "underway" and self._rng.random() < 0.5:
                    self._freeze(cook, _LONG_S)
                else:
                    self._rng.choice((self._kill, self._freeze, self._cut))(cook)

    # -- processes ------------------------------------------------------------------------------

    def _any_cook(self) -> Cook | None:
        """A cook, preferably a busy one."""
        living = self._world.living
        busy = [each for each in living if each.busy]
        return self._rng.choice(busy or living) if living else None

    def _kill(self, cook: Cook | None = None) -> None:
        cook = cook or self._any_cook()
        if cook is not None:
            self._watch.excuse(1.0)
            self._scheduler.kill(cook.process)
            self._scheduler.at(self._rng.random(), self._world.start_cook)

    def _freeze(self, cook: Cook | None = None, seconds: float | None = None) -> None:
        cook = cook or self._any_cook()
        if cook is None:
            return
        seconds = seconds or self._rng.choice((0.3, 0.3, 2.5, 2.5, 4.0, _LONG_S))
        self._watch.excuse()
        self._scheduler.freeze(cook.process, seconds)
        if seconds > _SILENCE_S:
            for link in [x for x in self._world.broker.links if x.process is cook.process]:
                self._scheduler.at(_SILENCE_S, lambda link=link: self._world.broker.end(link))

    def _stop(self, cook: Cook | None = None) -> None:
        cook = cook or self._any_cook()
        if cook is not None:
            self._watch.excuse(1.0)
            self._scheduler.note(f"*** {cook.process.name} gets a stop")
            cook.worker._stop.set()
            self._scheduler.at(self._rng.random(), self._world.start_cook)

    def _cut_then_stop(self) -> None:
        """Another cook drops a delivery, because its message is held; then the holder stops."""
        cook = self._any_cook()
        if cook is None:
            return
        for link in [x for x in self._world.broker.links if x.process is cook.process]:
            self._world.broker.end(link)
        self._scheduler.note(f"*** {cook.process.name} loses the broker, and will stop")
        self._watch.excuse()
        self._scheduler.at(self._rng.random() * 0.6, lambda: self._stop(cook))

    # -- the database ---------------------------------------------------------------------------

    def _cut(self, cook: Cook) -> None:
        self._scheduler.note(f"*** the database connections of {cook.process.name} are cut")
        self._watch.excuse()
        for each in list(self._world.database.connections):
            if each.process is cook.process:
                self._world.database.end(each)

    def _cut_database(self) -> None:
        connections = self._world.database.connections
        if connections:
            one = self._rng.choice(connections)
            self._scheduler.note(f"*** a database connection of {one.process.name} is cut")
            self._watch.excuse()
            self._world.database.end(one)

    def _terminate_leader(self) -> None:
        """The leader's session ends and its keeper continues: two keepers work."""
        leader = self._world.database.sessions.get("leader publisher")
        if leader is not None:
            self._scheduler.note(f"*** {leader.process.name} is terminated as leader")
            self._watch.excuse()
            self._world.database.end(leader)

    def _lock_rows(self) -> None:
        ids = list(self._world.database.messages)
        if not ids:
            self._scheduler.at(0.1, self._lock_rows)
            return
        chosen = self._rng.sample(ids, min(len(ids), self._rng.choice((1, 1, 2))))
        self._world.lock_rows(chosen, self._rng.choice((0.1, 0.5, 3.0, _LONG_S)))

    def _crash_database(self) -> None:
        down = self._rng.random()
        self._watch.excuse(down + _GRACE_S)
        self._world.database.crash(down)

    # -- the broker -----------------------------------------------------------------------------

    def _cut_broker(self) -> None:
        links = self._world.broker.links
        if links:
            one = self._rng.choice(links)
            self._scheduler.note(f"*** the broker's connection of {one.process.name} is cut")
            self._watch.excuse()
            self._world.broker.end(one)

    def _cut_off(self) -> None:
        """A process, preferably the leader, no longer reaches the broker; others do."""
        leader = self._world.database.sessions.get("leader publisher")
        cook = self._any_cook()
        one = leader or cook
        if one is not None:
            process = one.process
            self._scheduler.note(f"*** {process.name} no longer reaches RabbitMQ")
            self._watch.excuse()
            self._world.broker.cut_off(process)
            self._scheduler.at(self._rng.random(), self._world.start_cook)

    def _crash_broker(self, wiped: bool = False) -> None:
        down = self._rng.random()
        self._watch.excuse(down)
        self._world.broker.crash(down, wiped=wiped)

    def _wipe_broker(self) -> None:
        self._crash_broker(wiped=True)

    def _duplicate(self) -> None:
        for _ in range(self._rng.choice((1, 2, 3, 9))):
            self._world.broker.duplicate()

    def _lose(self) -> None:
        """Another program takes the next delivery out of its queue."""
        self._scheduler.note("*** the next delivery is lost")
        self._watch.excuse(1.0)
        self._world.broker.losing = 1

    def _refuse(self) -> None:
        self._scheduler.note("*** RabbitMQ refuses messages")
        seconds = self._rng.random()
        self._watch.excuse(seconds)
        self._world.broker.refusing = self._scheduler.now + seconds

    def _slow(self) -> None:
        self._scheduler.note("*** queues are slow")
        self._world.broker.slowness = 0.5
