"""Fibers on a virtual clock, in an order that a seed decides.

The program's own code runs in fibers (greenlets), so it needs no change to be stopped anywhere:
each call to a model of a server, and each wait, is a place where another fiber may go on, a process
may die or freeze, and time passes. Nothing here looks at the machine's clock.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from greenlet import getcurrent, greenlet

_SWITCH_S = 0.0005


class Killed(BaseException):
    """The process of this fiber was killed; its code goes no further."""


class Process:
    """Fibers that die and freeze together. at_death: what servers notice of it, later."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.frozen_until = 0.0
        self.fibers: list[Fiber] = []
        self.at_death: list[Callable[[], None]] = []
        self.claims: dict[Any, int] = {}


class Fiber:
    """One thread of a process. turn: counts its pauses, so that an old alarm wakes nobody."""

    __slots__ = ("greenlet", "name", "process", "turn")

    def __init__(self, process: Process, name: str, run: Callable[[], object], hub: Any) -> None:
        self.process = process
        self.name = name
        self.turn = 0
        self.greenlet = greenlet(self._guarded(run), hub)

    def _guarded(self, run: Callable[[], object]) -> Callable[[], None]:
        def body() -> None:
            try:
                if not self.process.dead:
                    run()
            except Killed:
                pass

        return body

    @property
    def ended(self) -> bool:
        return self.greenlet.dead


Waiters = list[tuple[Fiber, int]]


class Scheduler:
    """The clock, the alarms, and the choice of the next fiber."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.now = 1000.0
        self.steps = 0
        self.trace: list[str] | None = None
        self._alarms: list[tuple[float, int, Any, int]] = []
        self._serial = 0
        self._hub = getcurrent()
        self.current: Fiber | None = None
        self.processes: list[Process] = []

    # -- for the world outside the fibers ------------------------------------------------

    def process(self, name: str) -> Process:
        process = Process(name)
        self.processes.append(process)
        return process

    def spawn(self, process: Process, name: str, run: Callable[[], object]) -> Fiber:
        fiber = Fiber(process, name, run, self._hub)
        process.fibers.append(fiber)
        self._alarm(self.rng.random() * _SWITCH_S, fiber, 0)
        return fiber

    def at(self, delay: float, action: Callable[[], object]) -> None:
        """Do something outside all fibers, after a delay."""
        self._alarm(delay, action, -1)

    def run(self, until: float, done: Callable[[], bool] = lambda: False) -> None:
        """Let everything happen up to a moment, or until `done`, asked now and then."""
        alarms, asked = self._alarms, self.now
        while alarms and alarms[0][0] <= until:
            moment, _, what, turn = heappop(alarms)
            self.now = max(self.now, moment)
            if turn < 0:
                what()
            else:
                self._resume(what, turn)
            if self.now - asked > 0.15:
                asked = self.now
                if done():
                    return
        self.now = max(self.now, until)

    def kill(self, process: Process) -> None:
        """SIGKILL: its code no longer runs; servers detect it later."""
        if process.dead:
            return
        self.note(f"*** {process.name} is killed")
        process.dead = True
        for action in process.at_death:
            action()
        for fiber in process.fibers:
            if not fiber.ended and fiber is not self.current:
                self._alarm(0, fiber, fiber.turn)
        process.frozen_until = 0.0

    def freeze(self, process: Process, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after some time."""
        self.note(f"*** {process.name} is frozen for {seconds:.1f} s")
        process.frozen_until = max(process.frozen_until, self.now + seconds)

    def end(self) -> None:
        """Unwind what still runs, so that nothing outlives its schedule."""
        self.trace = None
        for process in self.processes:
            self.kill(process)
            for fiber in process.fibers:
                for _ in range(20):
                    if fiber.ended:
                        break
                    self.current = fiber
                    fiber.greenlet.switch()
        self.current = None

    def note(self, text: str) -> None:
        """A line of the trace."""
        if self.trace is not None:
            who = self.current
            name = f"{who.process.name}/{who.name}" if who else "-"
            self.trace.append(f"{self.now - 1000:9.4f}  {name:<18} {text}")

    # -- for code in fibers --------------------------------------------------------------

    def pause(self, seconds: float) -> None:
        """Let time pass for the current fiber."""
        fiber = self._me()
        fiber.turn += 1
        self._serial += 1
        heappush(self._alarms, (self.now + seconds, self._serial, fiber, fiber.turn))
        self._hub.switch()
        if fiber.process.dead:
            raise Killed

    def block(self, timeout: float | None, *lists: Waiters) -> None:
        """Wait to be woken through one of the lists, or for `timeout` seconds."""
        fiber = self._me()
        fiber.turn += 1
        for waiters in lists:
            waiters.append((fiber, fiber.turn))
        if timeout is not None:
            self._alarm(max(0.0, timeout), fiber, fiber.turn)
        self._switch(fiber)

    def wake(self, waiters: Waiters) -> None:
        """Wake the fibers of this list, each after a random moment."""
        for fiber, turn in waiters:
            if fiber.turn == turn:
                self._alarm(self.rng.random() * _SWITCH_S, fiber, turn)
        waiters.clear()

    # -- inside --------------------------------------------------------------------------

    def _me(self) -> Fiber:
        fiber = self.current
        assert fiber is not None, "only a fiber can wait"
        if fiber.process.dead:
            raise Killed
        return fiber

    def _switch(self, fiber: Fiber) -> None:
        self._hub.switch()
        if fiber.process.dead:
            raise Killed

    def _alarm(self, delay: float, what: Any, turn: int) -> None:
        self._serial += 1
        heappush(self._alarms, (self.now + delay, self._serial, what, turn))

    def _resume(self, fiber: Fiber, turn: int) -> None:
        if fiber.turn != turn or fiber.ended:
            return
        frozen = fiber.process.frozen_until - self.now
        if frozen > 0:
            self._alarm(frozen, fiber, turn)
            return
        self.steps += 1
        self.current = fiber
        fiber.greenlet.switch()
        self.current = None
