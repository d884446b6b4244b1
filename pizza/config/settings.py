"""Every setting of every process, read in one place: flag before environment before `.env`.

`OPTIONS` is the list of all there is. A bad or missing value raises SettingsError with a sentence
that names the flag and the variable. Passwords never appear in a repr or in an error.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pizza.config import parsers
from pizza.domain.order import ORDER_TYPES
from pizza.domain.stations import KITCHEN, STATION_NAMES
from pizza.domain.status import STATUSES
from pizza.domain.targets import HTTPS, SCHEMES
from pizza.taskqueue.broker import address as broker_address

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


class SettingsError(Exception):
    """A setting is missing or makes no sense; the text names it and says what would."""


@dataclass(frozen=True)
class Settings:
    """What a process was told. Build it with `load`; in tests with keyword arguments."""

    mode: str | None = None
    db_url: str = field(default="", repr=False)
    db_pool: str | None = field(default=None, repr=False)
    db_trusted_network: bool = False
    rabbitmq: str = field(default="localhost:5672", repr=False)
    rabbitmq_user: str | None = None
    rabbitmq_pass: str | None = field(default=None, repr=False)
    host: str = "127.0.0.1"
    port: int = 3000
    share_port: bool = False
    max_concurrent: int | None = None
    worker_name: str = ""
    order_types: tuple[str, ...] = ORDER_TYPES
    station: str = KITCHEN
    stations: tuple[str, ...] = STATION_NAMES
    station_time: float = 2.0
    send_back_percent: float = 0.0
    ageing: float = 300.0
    cooking_time: float = 10.0
    customer: str | None = None
    notification_types: tuple[str, ...] = STATUSES
    subscriber_name: str = ""
    history_days: float = 90.0
    personal_data_days: float = 365.0
    stuck_factor: float = 3.0
    watch_interval: float = 2.0
    webhook_schemes: tuple[str, ...] = (HTTPS,)
    webhook_private_targets: bool = False
    webhook_threads: int = 4
    log_level: str = "INFO"
    log_file: str | None = None
    grace: float = 15.0
    web_workers: int = 2
    web_threads: int = 3
    max_streams: int = 1000
    heartbeat_seconds: float = 10.0
    lease_seconds: float = 15.0
    environment: str = DEVELOPMENT
    staff_keys: tuple[parsers.Key, ...] = field(default=(), repr=False)
    staff_key_file: tuple[parsers.Key, ...] = field(default=(), repr=False)
    prices: str | None = None
    client_places: int | None = None
    rate_limit: int = 600
    trusted_proxies: tuple[parsers.Network, ...] = ()
    cors_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] | None = None
    session_idle: float = 7200.0
    audit_days: float = 730.0

    @property
    def keys(self) -> tuple[parsers.Key, ...]:
        """The staff keys of the environment: known before any database is."""
        return self.staff_keys + self.staff_key_file

    @property
    def streams_per_worker(self) -> int:
        """How many streams one HTTP worker holds open: an even share, rounded up."""
        return -(-self.max_streams // self.web_workers)

    @property
    def service(self) -> str:
        """What the log calls this process: its mode, or `setup` for the one-off commands."""
        return self.mode or "setup"

    @property
    def broker_url(self) -> str:
        """The AMQP URL with user and password, percent-encoded. Contains a secret: never log it.

        `--rabbitmq-user` and `--rabbitmq-pass` win over what an amqp:// URL carries, and that
        wins over guest.
        """
        address = broker_address.parse(self.rabbitmq)
        return address.with_login(self.rabbitmq_user, self.rabbitmq_pass).url

    @property
    def secrets(self) -> tuple[str, ...]:
        """The passwords in here, so that the log can blot them out."""
        addresses = (self.db_url, self.db_pool or "", self.rabbitmq)
        found = {self.rabbitmq_pass}.union(*map(parsers.passwords, addresses))
        # The longest first: one may be a part of another.
        return tuple(sorted(filter(None, found), key=len, reverse=True))

    def require(self, *names: str) -> None:
        """Insist on settings that have no default, by field name; raises SettingsError."""
        for name in names:
            if not getattr(self, name):
                option = _BY_NAME[name]
                raise SettingsError(
                    f"{option.flag} is missing: give {option.flag}=… or set {option.variable} "
                    f"({option.meaning})."
                )


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: its field, flag, environment variable, reader, and what it is for.

    flag: empty for a secret that must not stand on a command line, where `ps` shows it.
    """

    name: str
    flag: str
    variable: str
    read: Callable[[str], Any]
    meaning: str

    @property
    def label(self) -> str:
        """What an error calls it."""
        return f"{self.flag} ({self.variable})" if self.flag else self.variable


def load(
    flags: Mapping[str, str | None],
    environ: Mapping[str, str] = os.environ,
    dotenv_path: Path | None = Path(".env"),
) -> Settings:
    """Read the settings of this process.

    `flags` maps field names to what the command line gave (None for what it did not). An empty
    environment variable counts as not set. Raises SettingsError.
    """
    from_file = read_dotenv(dotenv_path) if dotenv_path else {}
    given: dict[str, Any] = {}
    for option in OPTIONS:
        raw = flags.get(option.name)
        if raw is None:
            raw = environ.get(option.variable) or from_file.get(option.variable) or None
        if raw is None:
            continue
        try:
            given[option.name] = option.read(raw)
        except ValueError as problem:
            raise SettingsError(f"{option.label} {problem}.") from None
    return Settings(**given)


def read_dotenv(path: Path) -> dict[str, str]:
    """Read `NAME=value` lines, with comments, quotes and an optional `export `; {} without a file.

    Raises SettingsError for a file that cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as problem:
        raise SettingsError(f"{path} cannot be read: {type(problem).__name__}.") from None
    found = {}
    for line in text.splitlines():
        name, separator, value = line.strip().removeprefix("export ").partition("=")
        if separator and not name.startswith("#"):
            found[name.strip()] = _unquote_value(value.strip())
    return found


def _unquote_value(value: str) -> str:
    if value[:1] in ("'", '"'):
        closing = value.find(value[0], 1)
        return value[1:closing] if closing > 0 else value
    return value.split(" #", 1)[0].rstrip()


def _option(flag: str, read: Callable[[str], Any], meaning: str, **other: str) -> Option:
    word = flag.removeprefix("--").replace("-", "_")
    variable = other.get("variable", word.upper())
    return Option(other.get("name", word), flag, variable, read, meaning)


_LEVEL = parsers.one_of(
    *LOG_LEVELS, fold=lambda raw: {"WARNING": "WARN"}.get(raw.upper(), raw.upper())
)

_SUBSCRIBER = {"name": "subscriber_name", "variable": "SUBSCRIBER_NAME"}

# HOST and PORT as variables would be caught by accident: shells set the one, honcho the other.
OPTIONS = (
    _option("--mode", parsers.one_of(*MODES), "which service to run"),
    _option(
        "--db", parsers.db_url, "PostgreSQL connection string", name="db_url", variable="DB_URL"
    ),
    _option("--db-pool", parsers.db_url, "a pooler for HTTP requests", variable="DB_POOL_URL"),
    _option("--db-trusted-network", parsers.yes_or_no, "a database elsewhere needs no TLS"),
    _option("--rabbitmq", parsers.broker_url, "RabbitMQ server address"),
    _option("--rabbitmq-user", parsers.text, "RabbitMQ user name"),
    _option("--rabbitmq-pass", parsers.text, "RabbitMQ password"),
    _option("--host", parsers.host, "address to listen on", variable="LISTEN_HOST"),
    _option("--port", parsers.integer(1, 65535), "HTTP port", variable="LISTEN_PORT"),
    _option("--share-port", parsers.yes_or_no, "listen beside an order service that is to end"),
    _option("--max-concurrent", parsers.integer(0, 1_000_000), "orders at a time, 0 for no limit"),
    _option("--worker-name", parsers.worker_name, "unique name of a worker"),
    _option("--order-types", parsers.specialities, "order types, or menu tags, to process"),
    _option("--station", parsers.one_of(KITCHEN, *STATION_NAMES), "station that a worker staffs"),
    _option("--stations", parsers.words(STATION_NAMES), "stations the restaurant staffs, or none"),
    _option("--station-time", parsers.seconds(0, 86_400), "seconds that a station takes"),
    _option(
        "--send-back-percent", parsers.number(0, 100), "orders of a hundred that quality sends back"
    ),
    _option("--ageing", parsers.seconds(0, 86_400), "seconds until a waiting order goes first"),
    _option("--cooking-time", parsers.seconds(0, 86_400), "base cooking time in seconds"),
    _option("--customer", parsers.text, "customer name filter"),
    _option("--notification-types", parsers.words(STATUSES), "notifications to receive"),
    _option("--name", parsers.subscriber_name, "name of a subscriber", **_SUBSCRIBER),
    _option(
        "--history-days", parsers.number(0, 36_500), "days that tracked events are kept, 0 for ever"
    ),
    _option(
        "--personal-data-days", parsers.number(0, 36_500),
        "days that orders keep their customer, 0 for no limit",
    ),
    _option(
        "--stuck-factor", parsers.number(0.1, 1000), "times its estimate until an order is stuck"
    ),
    _option(
        "--watch-interval", parsers.seconds(0.1, 3_600), "seconds between looks for stuck orders"
    ),
    _option("--webhook-schemes", parsers.words(SCHEMES), "how webhooks may be reached"),
    _option("--webhook-private-targets", parsers.yes_or_no, "webhooks on this and other own hosts"),
    _option("--webhook-threads", parsers.integer(1, 64), "deliveries at work at a time"),
    _option("--log-level", _LEVEL, "log level"),
    _option("--log-file", parsers.text, "log file path"),
    _option("--grace", parsers.seconds(0, 3_600), "seconds to finish work when stopped"),
    _option("--web-workers", parsers.integer(1, 64), "HTTP worker processes"),
    _option(
        "--web-threads", parsers.integer(1, 256), "requests at work at a time in each HTTP worker"
    ),
    _option("--max-streams", parsers.integer(0, 10_000), "open streams at a time, 0 for none"),
    _option(
        "--heartbeat", parsers.seconds(1, 300), "heartbeat in seconds", name="heartbeat_seconds"
    ),
    _option(
        "--lease", parsers.seconds(1, 3_600), "lease of a task in seconds", name="lease_seconds"
    ),
    _option(
        "--env", parsers.one_of(DEVELOPMENT, PRODUCTION), "what is tolerated",
        name="environment", variable="PIZZA_ENV",
    ),
    Option("staff_keys", "", "STAFF_KEY", parsers.keys, "the staff's key"),
    Option("staff_key_file", "", "STAFF_KEY_FILE", parsers.keys_of_file, "file of staff keys"),
    _option("--prices", parsers.one_of(MENU, GIVEN), "whose prices an order has"),
    _option("--client-places", parsers.integer(0, 1_000_000), "orders at a time of one client"),
    _option("--rate-limit", parsers.integer(0, 1_000_000), "requests a minute of one client"),
    _option("--trusted-proxies", parsers.networks, "proxies whose X-Forwarded-… is believed"),
    _option("--cors-origins", parsers.origins, "origins whose pages may use the API"),
    _option("--allowed-hosts", parsers.host_names, "host names that requests may be for"),
    _option(
        "--session-idle", parsers.seconds(2, 604_800), "seconds until an unused session ends"
    ),
    _option(
        "--audit-days", parsers.number(0, 36_500), "days that the audit log is kept, 0 for no limit"
    ),
)  # fmt: skip

_BY_NAME = {option.name: option for option in OPTIONS}

assert set(_BY_NAME) == {item.name for item in fields(Settings)}, "OPTIONS and Settings differ"
