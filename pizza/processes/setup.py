"""Setting up a database and a broker."""

from __future__ import annotations

from pizza.app import create_task_app
from pizza.database import migrate
from pizza.database.connection import connect, translate_errors
from pizza.operations import fold_names
from pizza.taskqueue.broker.connection import BrokerConnection


def setup_db(db_url: str) -> list[str]:
    """Create or bring up to date all tables and functions; returns the scripts that ran.

    Names in rows of release 0.2 get their keys. Raises DatabaseUnavailable, MigrationError.
    """
    done = migrate.migrate(db_url)
    with connect(db_url, name="pizza setup") as conn, translate_errors():
        fold_names(conn)
    return done


migrate_db = setup_db  # set-up is all migrations on an empty database


def setup_queues(broker_url: str) -> None:
    """Declare all exchanges, queues and bindings. Raises BrokerUnavailable."""
    broker = BrokerConnection(broker_url, name="pizza setup")
    try:
        broker.declare(create_task_app().topology)
    finally:
        broker.close()
