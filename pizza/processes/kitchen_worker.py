"""Worker processes: which queues, tasks and skills a worker of a station has, and its running."""

from __future__ import annotations

import logging

import psycopg

from pizza.app import make_app
from pizza.config.settings import Settings
from pizza.database.connection import connect, translate_errors
from pizza.database.errors import DatabaseUnavailable
from pizza.domain.menu import parse_specialities
from pizza.domain.order import ORDER_TYPES
from pizza.domain.stations import KITCHEN, station
from pizza.kitchen.cooking import kitchen
from pizza.kitchen.stations import Work, stations
from pizza.kitchen.worker_storage import Post
from pizza.kitchen.workers import Shift
from pizza.menu import storage as menu
from pizza.orders.external import outside
from pizza.taskqueue.lifecycle import Shutdown
from pizza.taskqueue.retry import Backoff
from pizza.taskqueue.worker.context import WorkerOptions
from pizza.taskqueue.worker.worker import Worker
from pizza.topology import KITCHEN_QUEUE, TYPED_QUEUES, kitchen_queues

log = logging.getLogger(__name__)

COOK = "cook"


def run_worker(settings: Settings) -> int:
    """Run a worker until it is told to stop; returns the process's exit code.

    Raises RegistrationRefused when its name is taken or there are ten workers;
    InvalidSpecialities for specialities that are neither order types nor on the menu.
    """
    assert settings.db_url and settings.worker_name, "the command line insists on both"
    post = _post(settings)
    app = make_app(settings)
    app.include(kitchen(settings.cooking_time), outside(settings.cooking_time))
    app.include(stations(Work(settings.station_time, settings.send_back_percent)))
    for queue in (KITCHEN_QUEUE, *TYPED_QUEUES.values()):
        app.external_queue(queue, app.tasks["accept_order"])
    worker = Worker(
        app,
        settings.db_url,
        settings.broker_url,
        WorkerOptions(
            name=settings.worker_name,
            queues=_queues(post),
            grace=settings.shutdown_grace_period,
            lease=settings.lease_seconds,
            heartbeat=int(settings.heartbeat_seconds),
            skills=frozenset(post.tags) if post.tags else None,
        ),
        registry=Shift(settings.worker_name, post, _announcement(post)),
    )
    worker.run()
    return 0


def _post(settings: Settings) -> Post:
    if settings.station != KITCHEN:
        if set(settings.order_types) != set(ORDER_TYPES):
            # Not refused: the variable may be meant for the cooks beside it.
            log.warning(
                "--order-types (ORDER_TYPES) is for cooks: station %s takes every order",
                settings.station,
                extra={"action": "order_types_ignored"},
            )
        return Post(station(settings.station).worker_type, settings.station)
    words = settings.order_types
    if set(words) <= set(ORDER_TYPES):
        types, tags = tuple(words), None
    else:
        types, tags = parse_specialities(words, _known_tags(settings))
    everything = set(types) == set(ORDER_TYPES)
    return Post(COOK, KITCHEN, None if everything else types, tags, settings.cooking_time)


def _known_tags(settings: Settings) -> set[str]:
    """The menu's tags; waits for the database and its tables: a word cannot be judged without.

    Raises SystemExit when told to stop meanwhile.
    """
    stop, backoff = Shutdown(), Backoff()
    stop.install_handlers()
    told = False
    while not stop.is_set():
        try:
            name = f"{settings.worker_name} start"
            with connect(settings.db_url, name=name) as conn, translate_errors():
                return menu.tags(conn)
        except DatabaseUnavailable as error:
            why = str(error)
        except psycopg.errors.UndefinedTable:
            why = "The database has no tables yet: run --setup-db"
        if not told:
            log.warning("%s; trying again", why, extra={"action": "database_lost"})
        told = True
        stop.wait(backoff.next())
    raise SystemExit(0)


def _queues(post: Post) -> list[str]:
    if post.station != KITCHEN:
        return [station(post.station).queue]
    return kitchen_queues(post.order_types or ORDER_TYPES)


def _announcement(post: Post) -> str:
    """What a worker says of itself when it comes to work."""
    if post.station != KITCHEN:
        return f"Worker registered for station {post.station}"
    types = post.order_types or ()
    if post.tags:
        return f"Worker registered for order types: {','.join((*types, *post.tags))}"
    if not types:
        return "Worker registered for all order types"
    if len(types) == 1:
        return f"Listening for {types[0]} orders only"
    return f"Worker registered for order types: {','.join(types)}"
