# ruff: noqa: PLC0415  (the imports inside the functions are the point)
"""What the program can be told to do, one function a verb, each returning an exit code.

`restaurant-system --setup-db` and `flask --app pizza setup-db` both end here. Imports are made
where they are needed: a cook's process must not carry Flask about.
"""

from __future__ import annotations

import logging

from pizza.cli import terminal
from pizza.config import parsers
from pizza.config.settings import Settings

log = logging.getLogger(__name__)

DONE, FAILED, USAGE = 0, 1, 2

# In the order in which they run when several are asked for.
SETUP_VERBS = ("setup_db", "migrate_db", "setup_queues")
SETUP_HELP = {
    "setup_db": "Initialize PostgreSQL database schema.",
    "migrate_db": "Run database migrations.",
    "setup_queues": "Initialize RabbitMQ exchanges and queues.",
}
_DONE_MESSAGES = {
    "setup_db": "Database schema is ready",
    "migrate_db": "Database migrations are up to date",
    "setup_queues": "Exchanges and queues are ready",
}


def set_up(settings: Settings, verbs: list[str]) -> int:
    """Run setup verbs; the first that fails ends it, with one log line that says why."""
    from pizza.database.errors import DatabaseError, DatabaseUnsupported
    from pizza.processes import setup
    from pizza.taskqueue.errors import FrameworkError

    for verb in (known for known in SETUP_VERBS if known in verbs):
        address = settings.broker_url if verb == "setup_queues" else settings.db_url
        try:
            getattr(setup, verb)(address)
        except DatabaseUnsupported as problem:
            log.error("%s.", problem, extra={"action": f"{verb}_failed"})
            return refuse(f"{problem}.")
        except (DatabaseError, FrameworkError) as problem:
            log.error("%s", problem, extra={"action": f"{verb}_failed"})
            return FAILED
        log.info(_DONE_MESSAGES[verb], extra={"action": verb})
    return DONE


def run(settings: Settings) -> int:
    """Run the service that `--mode` names until it is told to stop, or cannot use its database."""
    from pizza.cli.start_check import StartCheck

    check = StartCheck(settings)
    if not check.passes():
        return refuse(str(check.problem))
    try:
        code = _MODES[settings.mode or ""](settings)
    except SystemExit:
        if check.problem is None:
            raise
        code = USAGE
    finally:
        check.stop()
    return code if check.problem is None else refuse(check.problem)


def refuse(sentence: str) -> int:
    """Tell a person on stderr why nothing was done; the exit code says the same to a program."""
    terminal.echo(f"restaurant-system: {parsers.redact(sentence)}", err=True)
    return USAGE


def _order_service(settings: Settings) -> int:
    from pizza.web.server.serve import serve

    return serve(settings)


def _kitchen_worker(settings: Settings) -> int:
    from pizza.domain.errors import InvalidSpecialities
    from pizza.processes.kitchen_worker import run_worker
    from pizza.taskqueue.errors import RegistrationRefused

    try:
        return run_worker(settings)
    except RegistrationRefused as refusal:
        log.error("%s", refusal, extra={"action": "worker_refused"})
        return refuse(str(refusal))
    except InvalidSpecialities as unknown:
        return refuse(str(unknown))


def _tracking_service(settings: Settings) -> int:
    from pizza.processes.tracking_service import run_tracking

    return run_tracking(settings)


def _notification_subscriber(settings: Settings) -> int:
    from pizza.processes.notification_subscriber import run_subscriber
    from pizza.taskqueue.errors import RegistrationRefused

    try:
        return run_subscriber(settings)
    except RegistrationRefused as refusal:
        log.error("%s", refusal, extra={"action": "subscriber_refused"})
        return refuse(str(refusal))


def _webhook_worker(settings: Settings) -> int:
    from pizza.processes.webhook_worker import run_webhook_worker

    return run_webhook_worker(settings)


_MODES = {
    "order-service": _order_service,
    "kitchen-worker": _kitchen_worker,
    "tracking-service": _tracking_service,
    "notification-subscriber": _notification_subscriber,
    "webhook-worker": _webhook_worker,
}
