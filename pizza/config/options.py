"""The options of all processes: field of Settings, flag, environment variable, parser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pizza.config import parsers
from pizza.domain.stations import KITCHEN, STATION_NAMES
from pizza.domain.status import STATUSES
from pizza.domain.webhook_urls import SCHEMES

MODES = (
    "order-service",
    "kitchen-worker",
    "tracking-service",
    "notification-subscriber",
    "webhook-worker",
)
LOG_LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")
DEVELOPMENT, PRODUCTION = "development", "production"
MENU, GIVEN = "menu", "given"


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: field of Settings, flag, environment variable, parser, and a description.

    flag: empty for a secret that must not be on a command line, where `ps` shows it.
    """

    name: str
    flag: str
    variable: str
    parse: Callable[[str], Any]
    meaning: str

    @property
    def label(self) -> str:
        """Flag and variable, for an error."""
        return f"{self.flag} ({self.variable})" if self.flag else self.variable


def _option(flag: str, parse: Callable[[str], Any], meaning: str, **other: str) -> Option:
    word = flag.removeprefix("--").replace("-", "_")
    variable = other.get("variable", word.upper())
    return Option(other.get("name", word), flag, variable, parse, meaning)


_LEVEL = parsers.choice(
    *LOG_LEVELS, fold=lambda raw: {"WARNING": "WARN"}.get(raw.upper(), raw.upper())
)

_SUBSCRIBER = {"name": "subscriber_name", "variable": "SUBSCRIBER_NAME"}

# Not HOST and PORT: shells set the former, honcho the latter.
OPTIONS = (
    _option("--mode", parsers.choice(*MODES), "which service to run"),
    _option(
        "--db",
        parsers.parse_db_url,
        "PostgreSQL connection string",
        name="db_url",
        variable="DB_URL",
    ),
    _option(
        "--db-pool", parsers.parse_db_url, "a pooler for HTTP requests", variable="DB_POOL_URL"
    ),
    _option("--db-trusted-network", parsers.parse_bool, "a database elsewhere needs no TLS"),
    _option("--rabbitmq", parsers.parse_broker_url, "RabbitMQ server address"),
    _option("--rabbitmq-user", parsers.parse_text, "RabbitMQ user name"),
    _option("--rabbitmq-pass", parsers.parse_text, "RabbitMQ password"),
    _option("--host", parsers.parse_host, "address to listen on", variable="LISTEN_HOST"),
    _option("--port", parsers.int_range(1, 65535), "HTTP port", variable="LISTEN_PORT"),
    _option(
        "--share-port",
        parsers.parse_bool,
        "listen next to an order service that will end",
        name="reuse_port",
    ),
    _option(
        "--max-concurrent", parsers.int_range(0, 1_000_000), "orders at a time, 0 for no limit"
    ),
    _option("--worker-name", parsers.parse_worker_name, "unique name of a worker"),
    _option("--order-types", parsers.parse_order_types, "order types, or menu tags, to process"),
    _option("--station", parsers.choice(KITCHEN, *STATION_NAMES), "station that a worker staffs"),
    _option(
        "--stations", parsers.list_of(STATION_NAMES), "stations the restaurant staffs, or none"
    ),
    _option("--station-time", parsers.seconds_range(0, 86_400), "seconds that a station takes"),
    _option(
        "--send-back-percent",
        parsers.float_range(0, 100),
        "orders of a hundred that quality sends back",
    ),
    _option(
        "--ageing",
        parsers.seconds_range(0, 86_400),
        "seconds until a waiting order goes first",
        name="priority_aging",
    ),
    _option("--cooking-time", parsers.seconds_range(0, 86_400), "base cooking time in seconds"),
    _option("--customer", parsers.parse_text, "customer name filter"),
    _option("--notification-types", parsers.list_of(STATUSES), "notifications to receive"),
    _option("--name", parsers.parse_subscriber_name, "name of a subscriber", **_SUBSCRIBER),
    _option(
        "--history-days",
        parsers.float_range(0, 36_500),
        "days that tracked events are kept, 0 for no limit",
        name="retention_days",
    ),
    _option(
        "--personal-data-days",
        parsers.float_range(0, 36_500),
        "days that orders keep their customer, 0 for no limit",
    ),
    _option(
        "--stuck-factor",
        parsers.float_range(0.1, 1000),
        "times its estimate until an order is stuck",
    ),
    _option(
        "--watch-interval",
        parsers.seconds_range(0.1, 3_600),
        "seconds between checks for stuck orders",
        name="monitor_interval",
    ),
    _option("--webhook-schemes", parsers.list_of(SCHEMES), "how webhooks may be reached"),
    _option(
        "--webhook-private-targets", parsers.parse_bool, "webhooks on this and other own hosts"
    ),
    _option("--webhook-threads", parsers.int_range(1, 64), "deliveries at work at a time"),
    _option("--log-level", _LEVEL, "log level"),
    _option("--log-file", parsers.parse_text, "log file path"),
    _option(
        "--grace",
        parsers.seconds_range(0, 3_600),
        "seconds to finish work when stopped",
        name="shutdown_grace_period",
    ),
    _option("--web-workers", parsers.int_range(1, 64), "HTTP worker processes"),
    _option(
        "--web-threads", parsers.int_range(1, 256), "requests at work at a time in each HTTP worker"
    ),
    _option("--max-streams", parsers.int_range(0, 10_000), "open streams at a time, 0 for none"),
    _option(
        "--heartbeat",
        parsers.seconds_range(1, 300),
        "heartbeat in seconds",
        name="heartbeat_seconds",
    ),
    _option(
        "--lease",
        parsers.seconds_range(1, 3_600),
        "lease of a task in seconds",
        name="lease_seconds",
    ),
    _option(
        "--env",
        parsers.choice(DEVELOPMENT, PRODUCTION),
        "what is tolerated",
        name="env",
        variable="PIZZA_ENV",
    ),
    Option("staff_keys", "", "STAFF_KEY", parsers.parse_keys, "the staff's key"),
    Option("staff_key_file", "", "STAFF_KEY_FILE", parsers.parse_key_file, "file of staff keys"),
    _option("--prices", parsers.choice(MENU, GIVEN), "whose prices an order has"),
    _option(
        "--client-places",
        parsers.int_range(0, 1_000_000),
        "orders at a time of one client",
        name="client_order_limit",
    ),
    _option("--rate-limit", parsers.int_range(0, 1_000_000), "requests a minute of one client"),
    _option("--trusted-proxies", parsers.parse_networks, "proxies whose X-Forwarded-… is trusted"),
    _option("--cors-origins", parsers.parse_origins, "origins whose pages may use the API"),
    _option("--allowed-hosts", parsers.parse_host_names, "host names that requests may be for"),
    _option(
        "--session-idle", parsers.seconds_range(2, 604_800), "seconds until an unused session ends"
    ),
    _option(
        "--audit-days",
        parsers.float_range(0, 36_500),
        "days that the audit log is kept, 0 for no limit",
    ),
)
