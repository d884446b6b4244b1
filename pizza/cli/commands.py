# ruff: noqa: PLC0415  (the imports inside the functions are the point)
"""The commands of the program, one function each; they return an exit code.

`restaurant-system --setup-db` and `flask --app pizza setup-db` call the same function. Functions
import what they need, so that a kitchen worker does not load Flask.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from pizza.cli import terminal
from pizza.cli.start_check import StartCheck
from pizza.config import parsers
from pizza.config.settings import Settings
from pizza.database.errors import DatabaseError, DatabaseUnsupported
from pizza.domain.errors import InvalidSpecialities
from pizza.taskqueue.errors import FrameworkError, RegistrationRefused

log = logging.getLogger(__name__)

EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2

# In the order in which they run.
SETUP_COMMANDS = ("setup_db", "migrate_db", "setup_queues")
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


def run_setup(settings: Settings, names: list[str]) -> int:
    """Run setup commands until one fails, which logs the reason on one line."""
    from pizza.processes import setup

    for name in (known for known in SETUP_COMMANDS if known in names):
        address = settings.broker_url if name == "setup_queues" else settings.db_url
        try:
            getattr(setup, name)(address)
        except DatabaseUnsupported as problem:
            log.error("%s.", problem, extra={"action": f"{name}_failed"})
            return print_refusal(f"{problem}.")
        except (DatabaseError, FrameworkError) as problem:
            log.error("%s", problem, extra={"action": f"{name}_failed"})
            return EXIT_FAILED
        log.info(_DONE_MESSAGES[name], extra={"action": name})
    return EXIT_OK


def run_service(settings: Settings) -> int:
    """Run the service of `--mode` until a stop signal, or until its database is unusable."""
    check = StartCheck(settings)
    if not check.passes():
        return print_refusal(str(check.problem))
    try:
        code = _function_of(settings.mode)(settings)
    except RegistrationRefused as refusal:
        is_subscriber = settings.mode == "notification-subscriber"
        action = "subscriber_refused" if is_subscriber else "worker_refused"
        log.error("%s", refusal, extra={"action": action})
        code = print_refusal(str(refusal))
    except InvalidSpecialities as unknown:
        code = print_refusal(str(unknown))
    except SystemExit:
        if check.problem is None:
            raise
        code = EXIT_USAGE
    finally:
        check.stop()
    return code if check.problem is None else print_refusal(check.problem)


def print_refusal(sentence: str) -> int:
    """Print on stderr why nothing was done, without passwords; returns the exit code."""
    terminal.echo(f"restaurant-system: {parsers.redact(sentence)}", err=True)
    return EXIT_USAGE


def _function_of(mode: str | None) -> Callable[[Settings], int]:
    """The function that runs the service of a mode."""
    match mode:
        case "order-service":
            from pizza.web.server.serve import serve

            return serve
        case "kitchen-worker":
            from pizza.processes.kitchen_worker import run_worker

            return run_worker
        case "tracking-service":
            from pizza.processes.tracking_service import run_tracking

            return run_tracking
        case "notification-subscriber":
            from pizza.processes.notification_subscriber import run_subscriber

            return run_subscriber
    from pizza.processes.webhook_worker import run_webhook_worker

    return run_webhook_worker
