"""The settings of all processes: a flag wins over an environment variable, that over `.env`.

pizza.cli.help describes them. A bad or missing value raises SettingsError with a sentence that
names the flag and the variable. Passwords appear in no repr and in no error.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pizza.config import parsers
from pizza.domain.order import ORDER_TYPES
from pizza.domain.stations import KITCHEN, STATION_NAMES
from pizza.domain.status import STATUSES
from pizza.domain.webhooks import HTTPS, SCHEMES
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
    """A setting is missing or invalid; the text names it and says what is valid."""


@dataclass(frozen=True, slots=True)
class Option:
    """How a field of Settings is given: its flag, its environment variable, its parser.

    flag: empty for a secret that must not be on a command line, where `ps` shows it. meaning: of a
    required one, for the error when it is missing.
    """

    name: str
    flag: str
    variable: str
    parse: Callable[[str], Any]
    meaning: str


def option(
    default: object, parse: Callable[[str], Any], *, secret: bool = False, **other: str
) -> Any:
    """A field of Settings that a flag and an environment variable set.

    secret: leave the value out of repr. other: `flag`, by default the field's name with dashes;
    `variable`, by default the flag in capitals with underscores; `meaning`.
    """
    return dataclasses.field(default=default, repr=not secret, metadata={"parse": parse, **other})


def _option_of(name: str, parse: Callable[[str], Any], **other: str) -> Option:
    flag = other.get("flag", f"--{name.replace('_', '-')}")
    word = (flag or name).removeprefix("--").replace("-", "_")
    return Option(name, flag, other.get("variable", word.upper()), parse, other.get("meaning", ""))


def _fold_level(raw: str) -> str:
    return {"WARNING": "WARN"}.get(raw.upper(), raw.upper())


@dataclass(frozen=True)
class Settings:
    """The settings of a process. `load` makes them; tests pass keyword arguments."""

    mode: str | None = option(None, parsers.choice(*MODES))
    db_url: str = option(
        "",
        parsers.parse_db_url,
        flag="--db",
        variable="DB_URL",
        secret=True,
        meaning="PostgreSQL connection string",
    )
    db_pool: str | None = option(None, parsers.parse_db_url, variable="DB_POOL_URL", secret=True)
    db_trusted_network: bool = option(False, parsers.parse_bool)
    rabbitmq: str = option("localhost:5672", parsers.parse_broker_url, secret=True)
    rabbitmq_user: str | None = option(None, parsers.parse_text)
    rabbitmq_pass: str | None = option(None, parsers.parse_text, secret=True)
    # Not HOST and PORT: shells set the former, honcho the latter.
    host: str = option("127.0.0.1", parsers.parse_host, variable="LISTEN_HOST")
    port: int = option(3000, parsers.int_range(1, 65535), variable="LISTEN_PORT")
    reuse_port: bool = option(False, parsers.parse_bool, flag="--share-port")
    max_concurrent: int | None = option(None, parsers.int_range(0, 1_000_000))
    worker_name: str = option("", parsers.parse_worker_name, meaning="unique name of a worker")
    order_types: tuple[str, ...] = option(ORDER_TYPES, parsers.parse_order_types)
    station: str = option(KITCHEN, parsers.choice(KITCHEN, *STATION_NAMES))
    stations: tuple[str, ...] = option(STATION_NAMES, parsers.list_of(STATION_NAMES))
    station_time: float = option(2.0, parsers.seconds_range(0, 86_400))
    send_back_percent: float = option(0.0, parsers.float_range(0, 100))
    priority_aging: float = option(300.0, parsers.seconds_range(0, 86_400), flag="--ageing")
    cooking_time: float = option(10.0, parsers.seconds_range(0, 86_400))
    customer: str | None = option(None, parsers.parse_text)
    notification_types: tuple[str, ...] = option(STATUSES, parsers.list_of(STATUSES))
    subscriber_name: str = option(
        "", parsers.parse_subscriber_name, flag="--name", variable="SUBSCRIBER_NAME"
    )
    retention_days: float = option(90.0, parsers.float_range(0, 36_500), flag="--history-days")
    personal_data_days: float = option(365.0, parsers.float_range(0, 36_500))
    stuck_factor: float = option(3.0, parsers.float_range(0.1, 1000))
    monitor_interval: float = option(
        2.0, parsers.seconds_range(0.1, 3_600), flag="--watch-interval"
    )
    webhook_schemes: tuple[str, ...] = option((HTTPS,), parsers.list_of(SCHEMES))
    webhook_private_targets: bool = option(False, parsers.parse_bool)
    webhook_threads: int = option(4, parsers.int_range(1, 64))
    log_level: str = option("INFO", parsers.choice(*LOG_LEVELS, fold=_fold_level))
    log_file: str | None = option(None, parsers.parse_text)
    shutdown_grace_period: float = option(15.0, parsers.seconds_range(0, 3_600), flag="--grace")
    web_workers: int = option(2, parsers.int_range(1, 64))
    web_threads: int = option(3, parsers.int_range(1, 256))
    max_streams: int = option(1000, parsers.int_range(0, 10_000))
    heartbeat_seconds: float = option(10.0, parsers.seconds_range(1, 300), flag="--heartbeat")
    lease_seconds: float = option(15.0, parsers.seconds_range(1, 3_600), flag="--lease")
    env: str = option(DEVELOPMENT, parsers.choice(DEVELOPMENT, PRODUCTION), variable="PIZZA_ENV")
    staff_keys: tuple[parsers.Key, ...] = option(
        (), parsers.parse_keys, flag="", variable="STAFF_KEY", secret=True
    )
    staff_key_file: tuple[parsers.Key, ...] = option(
        (), parsers.parse_key_file, flag="", secret=True
    )
    prices: str | None = option(None, parsers.choice(MENU, GIVEN))
    client_order_limit: int | None = option(
        None, parsers.int_range(0, 1_000_000), flag="--client-places"
    )
    rate_limit: int = option(600, parsers.int_range(0, 1_000_000))
    trusted_proxies: tuple[parsers.Network, ...] = option((), parsers.parse_networks)
    cors_origins: tuple[str, ...] = option((), parsers.parse_origins)
    allowed_hosts: tuple[str, ...] | None = option(None, parsers.parse_host_names)
    session_idle: float = option(7200.0, parsers.seconds_range(2, 604_800))
    audit_days: float = option(730.0, parsers.float_range(0, 36_500))

    @property
    def keys(self) -> tuple[parsers.Key, ...]:
        """The staff keys of the environment, which need no database."""
        return self.staff_keys + self.staff_key_file

    @property
    def streams_per_worker(self) -> int:
        """How many streams one HTTP worker may hold open: an even share, rounded up."""
        return -(-self.max_streams // self.web_workers)

    @property
    def service(self) -> str:
        """The service in the log: the mode, or `setup` for the setup commands."""
        return self.mode or "setup"

    @property
    def broker_url(self) -> str:
        """The AMQP URL with user and password, percent-encoded. Contains a secret: never log it.

        `--rabbitmq-user` and `--rabbitmq-pass` win over the user and password in an amqp:// URL,
        and those over guest.
        """
        address = broker_address.parse(self.rabbitmq)
        return address.with_login(self.rabbitmq_user, self.rabbitmq_pass).url

    @property
    def secrets(self) -> tuple[str, ...]:
        """The passwords in these settings, longest first, for the log to redact."""
        addresses = (self.db_url, self.db_pool or "", self.rabbitmq)
        found = {self.rabbitmq_pass}.union(*map(parsers.find_passwords, addresses))
        return tuple(sorted(filter(None, found), key=len, reverse=True))

    def require(self, *names: str) -> None:
        """Raise SettingsError when one of these fields, which have no default, is not set."""
        for each in OPTIONS:
            if each.name in names and not getattr(self, each.name):
                raise SettingsError(
                    f"{each.flag} is missing: give {each.flag}=… or set {each.variable} "
                    f"({each.meaning})."
                )


OPTIONS = tuple(_option_of(each.name, **each.metadata) for each in dataclasses.fields(Settings))


def load(
    flags: Mapping[str, str | None],
    environ: Mapping[str, str] = os.environ,
    dotenv_path: Path | None = Path(".env"),
) -> Settings:
    """Read the settings of this process. Raises SettingsError.

    flags: field names and the values of the command line (None: not given). An empty environment
    variable counts as not set.
    """
    from_file = read_dotenv(dotenv_path) if dotenv_path else {}
    given: dict[str, Any] = {}
    for each in OPTIONS:
        raw = flags.get(each.name)
        if raw is None:
            raw = environ.get(each.variable) or from_file.get(each.variable) or None
        if raw is None:
            continue
        try:
            given[each.name] = each.parse(raw)
        except ValueError as problem:
            label = f"{each.flag} ({each.variable})" if each.flag else each.variable
            raise SettingsError(f"{label} {problem}.") from None
    return Settings(**given)


def read_dotenv(path: Path) -> dict[str, str]:
    """Read `NAME=value` lines, with comments, quotes and an optional `export `.

    Returns {} when there is no file; raises SettingsError when it cannot be read.
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
