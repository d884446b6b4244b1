"""The registry of tasks, and the topology they need. Nothing here does I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pizza.database.connection import BoundedConnection
from pizza.taskqueue.dead_letters.callback import OnDead
from pizza.taskqueue.errors import ConfigurationError
from pizza.taskqueue.middleware import Middleware
from pizza.taskqueue.outbox.periodic import PeriodicTask
from pizza.taskqueue.retry import RetryPolicy
from pizza.taskqueue.task import TIME_LIMIT_S, Decoder, Task, TaskFunction
from pizza.taskqueue.topology import DEAD_LETTERS, Topology


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
        manual_claim: bool = False,
        schema_version: int = 1,
        time_limit: float | None = TIME_LIMIT_S,
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
                manual_claim,
                schema_version,
                time_limit,
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
        self._given = (topology or Topology()) + DEAD_LETTERS
        self._declared: list[str] = []
        self._limits: dict[str, int | None] = {}
        self.middleware = tuple(middleware)
        self.periodic_tasks: list[PeriodicTask] = []
        self.adopters: dict[str, Task] = {}

    @property
    def topology(self) -> Topology:
        """What has to exist at the broker: what was given, the dead letters, and the queues of all
        tasks and of `declare_queue`.

        A queue that was not given is durable, has ten priorities, and is bound to no exchange but
        the default one.
        """
        queues = [task.queue for task in self.tasks.values()]
        return self._given.with_queues((*queues, *self._declared))

    def topology_for(self, queues: Iterable[str]) -> Topology:
        """The topology for a process that serves `queues`: with those that nobody declares."""
        return self.topology.with_queues(queues)

    def declare_queue(self, name: str) -> None:
        """Have a queue declared besides those of the tasks: one that `send(queue=…)` names."""
        self._declared.append(name)
        self._limits.clear()

    def max_priority(self, queue: str) -> int | None:
        """The highest priority that a queue of the topology tells apart; None when unknown."""
        if queue not in self._limits:
            self._limits[queue] = self.topology.max_priority(queue)
        return self._limits[queue]

    def _add(self, task: Task) -> None:
        super()._add(task)
        task.register(self.max_priority)
        self._limits.clear()

    def include(self, *blueprints: Blueprint) -> None:
        """Take over the tasks of blueprints. Raises ConfigurationError when a name is taken."""
        for blueprint in blueprints:
            for task in blueprint.tasks.values():
                self._add(task)

    def periodic(
        self, seconds: float, name: str
    ) -> Callable[[Callable[[BoundedConnection], object]], PeriodicTask]:
        """Have the decorated function run every so many seconds, by one process at a time.

        It gets a connection in an open transaction, in which the run is recorded. name: unique in
        the app; the last run is remembered under it, across restarts. See
        pizza.taskqueue.outbox.periodic. Raises ConfigurationError when the name is taken.
        """

        def register(function: Callable[[BoundedConnection], object]) -> PeriodicTask:
            if any(each.name == name for each in self.periodic_tasks):
                raise ConfigurationError(f"{self.name} already has a periodic task named {name!r}")
            task = PeriodicTask(name, seconds, function)
            self.periodic_tasks.append(task)
            return task

        return register

    def adopt(self, queue: str, task: Task) -> None:
        """Accept what other programs write to `queue` as messages of `task`.

        pizza.taskqueue.worker.inbox does the work.

        Raises ConfigurationError when the queue has such a task already.
        """
        if queue in self.adopters:
            raise ConfigurationError(f"{queue} already has a task for messages from outside")
        self.adopters[queue] = task
