"""The commands of the program, one function each; they return an exit code.

`restaurant-system --setup-db` and `flask --app pizza setup-db` call the same function. A service is
imported when it runs, so that a kitchen worker does not load Flask.
"""

from __future__ import annotations

import logging
import pkgutil

from pizza.cli import terminal
from pizza.cli.start_check import StartCheck
from pizza.config import parsers
from pizza.config.settings import Settings
from pizza.database.errors import DatabaseError, DatabaseUnsupported
from pizza.domain.errors import InvalidSpecialities
from pizza.taskqueue.errors import FrameworkError, RegistrationRefused

log = logging.getLogger(__name__)

EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2

# In the order in which they run: the help of each, and what the log says when it is done.
SETUP_COMMANDS = {
    "setup_db": ("Initialize PostgreSQL database schema.", "Database schema is ready"),
    "migrate_db": ("Run database migrations.", "Database migrations are up to date"),
    "setup_queues": ("Initialize RabbitMQ exchanges and queues.", "Exchanges and queues are ready"),
}
# Of each mode the function that runs its service, and the settings without which it does not run.
SERVICES = {
    "order-service": ("pizza.web.server.serve:serve", ["db_url"]),
    "kitchen-worker": ("pizza.processes.kitchen_worker:run_worker", ["db_url", "worker_name"]),
    "tracking-service": ("pizza.processes.tracking_service:run_tracking", ["db_url"]),
    "notification-subscriber": ("pizza.processes.notification_subscriber:run_subscriber", []),
    "webhook-worker": ("pizza.processes.webhook_worker:run_webhook_worker", ["db_url"]),
}


def run_setup(settings: Settings, names: list[str]) -> int:
    """Run setup commands until one fails, which logs the reason on one line."""
    for name, (_, done) in SETUP_COMMANDS.items():
        if name not in names:
            continue
        address = settings.broker_url if name == "setup_queues" else settings.db_url
        try:
            pkgutil.resolve_name(f"pizza.processes.setup:{name}")(address)
        except DatabaseUnsupported as problem:
            log.error("%s.", problem, extra={"action": f"{name}_failed"})
            return print_refusal(f"{problem}.")
        except (DatabaseError, FrameworkError) as problem:
            log.error("%s", problem, extra={"action": f"{name}_failed"})
            return EXIT_FAILED
        log.info(done, extra={"action": name})
    return EXIT_OK


def run_service(settings: Settings) -> int:
    """Run the service of `--mode` until a stop signal, or until its database is unusable."""
    assert settings.mode is not None
    function, _ = SERVICES[settings.mode]
    check = StartCheck(settings)
    if not check.passes():
        return print_refusal(str(check.problem))
    try:
        code = pkgutil.resolve_name(function)(settings)
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
