"""The kitchen-worker process: the queues, tasks and tags of a cook or a station worker."""

from __future__ import annotations

import logging

import psycopg

from pizza.app import create_task_app
from pizza.config.settings import Settings
from pizza.database.connection import connect, translate_errors
from pizza.database.errors import DatabaseUnavailable
from pizza.domain.menu import parse_specialities
from pizza.domain.order import ORDER_TYPES
from pizza.domain.stations import KITCHEN, station
from pizza.kitchen.cooking import cook_tasks
from pizza.kitchen.stations import StationTiming, station_tasks
from pizza.kitchen.worker_storage import WorkerProfile
from pizza.kitchen.workers import RestaurantWorkerRegistry
from pizza.menu import storage as menu
from pizza.orders.external import external_order_tasks
from pizza.taskqueue.lifecycle import Shutdown
from pizza.taskqueue.retry import Backoff
from pizza.taskqueue.worker.context import WorkerOptions
from pizza.taskqueue.worker.worker import Worker
from pizza.topology import KITCHEN_QUEUE, TYPED_QUEUES, kitchen_queues

log = logging.getLogger(__name__)

COOK = "cook"


def run_worker(settings: Settings) -> int:
    """Run a worker until shutdown; returns the process's exit code.

    Raises RegistrationRefused if its name is taken or ten workers run;
    InvalidSpecialities for specialities that are neither order types nor on the menu.
    """
    assert settings.db_url and settings.worker_name, "the command line insists on both"
    profile = _profile(settings)
    app = create_task_app(settings)
    app.include(cook_tasks(settings.cooking_time), external_order_tasks(settings.cooking_time))
    app.include(station_tasks(StationTiming(settings.station_time, settings.send_back_percent)))
    for queue in (KITCHEN_QUEUE, *TYPED_QUEUES.values()):
        app.external_queue(queue, app.tasks["accept_order"])
    worker = Worker(
        app,
        settings.db_url,
        settings.broker_url,
        WorkerOptions(
            name=settings.worker_name,
            queues=_queues(profile),
            grace=settings.shutdown_grace_period,
            lease=settings.lease_seconds,
            heartbeat=int(settings.heartbeat_seconds),
            tags=frozenset(profile.tags) if profile.tags else None,
        ),
        registry=RestaurantWorkerRegistry(
            settings.worker_name, profile, _registration_text(profile)
        ),
    )
    worker.run()
    return 0


def _profile(settings: Settings) -> WorkerProfile:
    if settings.station != KITCHEN:
        if set(settings.order_types) != set(ORDER_TYPES):
            # Not an error: the variable may be set for cooks with the same environment.
            log.warning(
                "--order-types (ORDER_TYPES) is for cooks: station %s takes every order",
                settings.station,
                extra={"action": "order_types_ignored"},
            )
        return WorkerProfile(station(settings.station).worker_type, settings.station)
    only_types = set(settings.order_types) <= set(ORDER_TYPES)
    known = () if only_types else _known_tags(settings)
    types, tags = parse_specialities(settings.order_types, known)
    everything = set(types) == set(ORDER_TYPES)
    return WorkerProfile(COOK, KITCHEN, None if everything else types, tags, settings.cooking_time)


def _known_tags(settings: Settings) -> set[str]:
    """The tags of the menu; waits for the database and its tables.

    Raises SystemExit on shutdown.
    """
    stop, backoff = Shutdown(), Backoff()
    stop.install_handlers()
    logged = False
    while not stop.is_set():
        try:
            name = f"{settings.worker_name} start"
            with connect(settings.db_url, name=name) as conn, translate_errors():
                return menu.list_tags(conn)
        except DatabaseUnavailable as error:
            why = str(error)
        except psycopg.errors.UndefinedTable:
            why = "The database has no tables yet: run --setup-db"
        if not logged:
            log.warning("%s; trying again", why, extra={"action": "database_lost"})
        logged = True
        stop.wait(backoff.next())
    raise SystemExit(0)


def _queues(profile: WorkerProfile) -> list[str]:
    if profile.station != KITCHEN:
        return [station(profile.station).queue]
    return kitchen_queues(profile.order_types or ORDER_TYPES)


def _registration_text(profile: WorkerProfile) -> str:
    """The log message of the registration."""
    if profile.station != KITCHEN:
        return f"Worker registered for station {profile.station}"
    types = profile.order_types or ()
    if not profile.tags and not types:
        return "Worker registered for all order types"
    if not profile.tags and len(types) == 1:
        return f"Listening for {types[0]} orders only"
    return f"Worker registered for order types: {','.join((*types, *(profile.tags or ())))}"
