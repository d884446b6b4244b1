"""The registry of tasks, and the topology they need. Nothing here does I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pizza.database.connection import BoundedConnection
from pizza.framework.chores import Chore
from pizza.framework.dead_message import OnDead
from pizza.framework.errors import ConfigurationError
from pizza.framework.middleware import Middleware
from pizza.framework.retry import RetryPolicy
from pizza.framework.task import Decoder, Task, TaskFunction
from pizza.framework.topology import DEAD_LETTERS, Topology


class Blueprint:
    """A set of tasks that is not bound to an app yet."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.tasks: dict[str, Task] = {}

    def task(
        self,
        name: str,
        *,
        queue: str,
        exchange: str = "",
        retry: RetryPolicy | None = None,
        decode: Decoder | None = None,
        claims_itself: bool = False,
        format: int = 1,
        on_dead: OnDead | None = None,
    ) -> Callable[[TaskFunction], Task]:
        """Register the decorated function as a task; see Task for the options.

        Raises ConfigurationError when the name is taken.
        """

        def register(function: TaskFunction) -> Task:
            task = Task(
                name,
                function,
                queue,
                exchange,
                retry or RetryPolicy(),
                decode,
                claims_itself,
                format,
                on_dead,
            )
            self._add(task)
            return task

        return register

    def _add(self, task: Task) -> None:
        if task.name in self.tasks:
            raise ConfigurationError(f"{self.name} already has a task named {task.name!r}")
        self.tasks[task.name] = task


class App(Blueprint):
    """All tasks of a system, the middleware around them, and the topology under them."""

    def __init__(
        self,
        name: str,
        *,
        topology: Topology | None = None,
        middleware: Iterable[Middleware] = (),
    ) -> None:
        super().__init__(name)
        self.topology = (topology or Topology()) + DEAD_LETTERS
        self.middleware = tuple(middleware)
        self.chores: list[Chore] = []
        self.adopters: dict[str, Task] = {}

    def include(self, *blueprints: Blueprint) -> None:
        """Take over the tasks of blueprints. Raises ConfigurationError when a name is taken."""
        for blueprint in blueprints:
            for task in blueprint.tasks.values():
                self._add(task)

    def every(
        self, seconds: float, name: str
    ) -> Callable[[Callable[[BoundedConnection], object]], Chore]:
        """Have the decorated function run every so often, by one process at a time.

        It gets a connection in an open transaction. See pizza.framework.chores.
        """

        def register(function: Callable[[BoundedConnection], object]) -> Chore:
            chore = Chore(name, seconds, function)
            self.chores.append(chore)
            return chore

        return register

    def adopt(self, queue: str, task: Task) -> None:
        """Make what other programs write to `queue` messages of `task` (pizza.framework.adoption).

        Raises ConfigurationError when the queue has such a task already.
        """
        if queue in self.adopters:
            raise ConfigurationError(f"{queue} already has a task for messages from outside")
        self.adopters[queue] = task
