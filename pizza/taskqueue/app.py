"""An application: its tasks, middleware, periodic tasks and topology. Nothing here does I/O."""

from collections.abc import Callable, Iterable

from pizza.database.connection import BoundedConnection
from pizza.taskqueue.dead_letters.callback import OnDead
from pizza.taskqueue.deprecated import renamed, renamed_arguments
from pizza.taskqueue.errors import ConfigurationError
from pizza.taskqueue.middleware import Middleware
from pizza.taskqueue.outbox.periodic import PeriodicTask
from pizza.taskqueue.retry import RetryPolicy
from pizza.taskqueue.task import TIME_LIMIT_S, Decoder, Task, TaskFunction
from pizza.taskqueue.topology import DEAD_LETTERS, Topology


class Blueprint:
    """A set of tasks that apps can include."""

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

        Raises ConfigurationError if the app has a task of that name.
        """

        def register(function: TaskFunction) -> Task:
            task = Task(
                name,
                function,
                queue,
                exchange,
                retry=retry or RetryPolicy(),
                decode=decode,
                manual_claim=manual_claim,
                schema_version=schema_version,
                time_limit=time_limit,
                on_dead=on_dead,
            )
            self._add(task)
            return task

        return register

    task = renamed_arguments(task, format="schema_version", claims_itself="manual_claim")

    def _add(self, task: Task) -> None:
        if task.name in self.tasks:
            raise ConfigurationError(f"{self.name} already has a task named {task.name!r}")
        self.tasks[task.name] = task


class App(Blueprint):
    """The tasks of a system, their middleware and the topology they need."""

    def __init__(
        self,
        name: str,
        *,
        topology: Topology | None = None,
        middleware: Iterable[Middleware] = (),
    ) -> None:
        super().__init__(name)
        self._declared = (topology or Topology()) + DEAD_LETTERS
        self._declared_queues: list[str] = []
        self._limits: dict[str, int | None] = {}
        self.middleware = tuple(middleware)
        self.periodic_tasks: list[PeriodicTask] = []
        self.external_queues: dict[str, Task] = {}

    @property
    def topology(self) -> Topology:
        """What must exist at the broker: the given topology, the dead letters, and the queues of
        all tasks and of `declare_queue`.

        A queue that was not given is durable, has ten priorities, and is bound to the default
        exchange only.
        """
        queues = [task.queue for task in self.tasks.values()]
        return self._declared.with_queues((*queues, *self._declared_queues))

    def topology_for(self, queues: Iterable[str]) -> Topology:
        """The topology with `queues` added, for a process that serves them."""
        return self.topology.with_queues(queues)

    def declare_queue(self, name: str) -> None:
        """Declare a queue that is no task's default, one that `send(queue=…)` names."""
        self._declared_queues.append(name)
        self._limits.clear()

    def max_priority(self, queue: str) -> int | None:
        """The highest priority of a queue of the topology; None if unknown."""
        if queue not in self._limits:
            self._limits[queue] = self.topology.max_priority(queue)
        return self._limits[queue]

    def _add(self, task: Task) -> None:
        super()._add(task)
        task.register(self.max_priority)
        self._limits.clear()

    def include(self, *blueprints: Blueprint) -> None:
        """Register the tasks of blueprints. Raises ConfigurationError if a name is taken."""
        for blueprint in blueprints:
            for task in blueprint.tasks.values():
                self._add(task)

    def periodic(
        self, seconds: float, name: str
    ) -> Callable[[Callable[[BoundedConnection], object]], PeriodicTask]:
        """Run the decorated function every `seconds` seconds, in one process at a time.

        Its argument is a connection in an open transaction, in which the run is recorded.
        name: unique in the app; the time of the last run is stored under it. See
        pizza.taskqueue.outbox.periodic. Raises ConfigurationError if the name is taken.
        """

        def register(function: Callable[[BoundedConnection], object]) -> PeriodicTask:
            if any(each.name == name for each in self.periodic_tasks):
                raise ConfigurationError(f"{self.name} already has a periodic task named {name!r}")
            task = PeriodicTask(name, seconds, function)
            self.periodic_tasks.append(task)
            return task

        return register

    def external_queue(self, queue: str, task: Task) -> None:
        """Accept messages of other programs in `queue` as messages of `task`.

        See pizza.taskqueue.worker.inbox. Raises ConfigurationError if the queue has such a task.
        """
        if queue in self.external_queues:
            raise ConfigurationError(f"{queue} already has a task for messages from outside")
        self.external_queues[queue] = task

    adopt = renamed("App.adopt", external_queue)
