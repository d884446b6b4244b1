"""The registry of tasks: unique names, and a queue for dead letters."""

from __future__ import annotations

import pytest
from kombu import Exchange, Queue

from pizza.taskqueue import App, Blueprint, RetryPolicy, Task
from pizza.taskqueue.errors import ConfigurationError
from pizza.taskqueue.middleware import timing, wrap
from pizza.taskqueue.testing import FakeConnection
from pizza.taskqueue.topology import DEAD_LETTER_QUEUE, Topology


def test_a_decorated_function_becomes_a_task() -> None:
    app = App("a")

    @app.task(
        "greet", queue="q", exchange="e", retry=RetryPolicy(max_attempts=2), manual_claim=True
    )
    def greet(job):
        """Greets."""

    assert isinstance(greet, Task)
    assert app.tasks == {"greet": greet}
    assert (greet.queue, greet.exchange, greet.retry.max_attempts) == ("q", "e", 2)
    assert greet.manual_claim


def test_a_name_is_used_once() -> None:
    app, blueprint = App("a"), Blueprint("b")
    for registry in (app, blueprint):
        registry.task("greet", queue="q")(print)
    with pytest.raises(ConfigurationError, match="a already has a task named 'greet'"):
        app.task("greet", queue="other")(print)
    with pytest.raises(ConfigurationError, match="greet"):
        app.include(blueprint)


def test_an_app_takes_over_the_tasks_of_blueprints() -> None:
    app, one, two = App("a"), Blueprint("one"), Blueprint("two")
    one.task("x", queue="q")(print)
    two.task("y", queue="q")(print)
    app.include(one, two)
    assert set(app.tasks) == {"x", "y"}


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="prority"):
        App("a").task("x", queue="q", prority=3)  # type: ignore[call-arg]


def test_the_dead_letters_belong_to_every_topology() -> None:
    mine = Topology((Exchange("e"),), (Queue("q"),))
    topology = App("a", topology=mine).topology
    assert [queue.name for queue in topology.queues] == ["q", DEAD_LETTER_QUEUE]
    assert [queue.name for queue in App("b").topology.queues] == [DEAD_LETTER_QUEUE]
    assert all(queue.durable for queue in topology.queues)


def names(topology: Topology) -> list[str]:
    return [queue.name for queue in topology.queues]


def test_the_queues_of_tasks_are_declared_by_default() -> None:
    blueprint = Blueprint("b")
    blueprint.task("y", queue="included")(print)
    app = App("a", topology=Topology(queues=(Queue("given", durable=True),)))
    app.task("w", queue="given")(print)
    app.task("x", queue="own")(print)
    app.include(blueprint)
    app.declare_queue("another")
    assert names(app.topology) == ["given", DEAD_LETTER_QUEUE, "own", "included", "another"]
    own = app.topology.queues[2]
    assert own.durable and own.queue_arguments == {"x-max-priority": 10}
    assert not own.exchange.name and not own.bindings
    assert names(app.topology_for(["own", "served"])) == [*names(app.topology), "served"]
    assert "served" not in names(app.topology)


def test_the_highest_priority_is_that_of_the_queue() -> None:
    topology = Topology(
        queues=(
            Queue("a", queue_arguments={"x-max-priority": 3}),
            Queue("b", max_priority=5),
            Queue("c"),
        )
    )
    app = App("a", topology=topology)
    assert [app.max_priority(each) for each in ("a", "b", "c", "none")] == [3, 5, None, None]
    app.declare_queue("none")
    assert app.max_priority("none") == 10


def test_a_priority_beyond_that_of_the_queue_is_refused_at_once() -> None:
    app, blueprint, recorder = App("a"), Blueprint("b"), FakeConnection()
    app.declare_queue("other")
    included = blueprint.task("y", queue="q")(print)
    included.send(recorder, {}, priority=255)  # the queue is not declared yet
    app.include(blueprint)
    for task in (included, app.task("x", queue="q")(print)):
        for queue in (None, "other"):
            with pytest.raises(
                ConfigurationError, match=r"from 0 to 10 \(x-max-priority\), not 11"
            ):
                task.send(recorder, {}, priority=11, queue=queue)
        task.send(recorder, {}, priority=10)
    assert [each.priority for each in recorder.sent] == [255, 10, 10]


def test_a_task_stays_equal_to_itself_when_it_is_registered() -> None:
    task = Blueprint("b").task("y", queue="q")(print)
    before = hash(task), repr(task)
    task.register(lambda _: 7)
    assert (hash(task), repr(task)) == before


def test_the_first_middleware_is_the_outermost() -> None:
    said: list[str] = []

    def saying(name: str):
        def middleware(job, run):
            said.append(f"{name} begins")
            try:
                return run()
            finally:
                said.append(f"{name} ends")

        return middleware

    run = wrap([saying("outer"), saying("inner")], None, lambda: said.append("runs") or 7)  # type: ignore[arg-type]
    assert run() == 7
    assert said == ["outer begins", "inner begins", "runs", "inner ends", "outer ends"]


def test_timing_is_left_on_the_job_even_when_it_fails() -> None:
    class Anything:
        duration_ms = None

    job = Anything()
    with pytest.raises(ZeroDivisionError):
        wrap([timing], job, lambda: 1 / 0)()  # type: ignore[arg-type]
    assert job.duration_ms == 0
