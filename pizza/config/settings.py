"""The settings of all processes: a flag wins over an environment variable, that over `.env`.

`OPTIONS` lists them all. A bad or missing value raises SettingsError with a sentence that names the
flag and the variable. Passwords appear in no repr and in no error.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from pizza.config import parsers
from pizza.config.options import DEVELOPMENT, OPTIONS
from pizza.domain.order import ORDER_TYPES
from pizza.domain.stations import KITCHEN, STATION_NAMES
from pizza.domain.status import STATUSES
from pizza.domain.webhook_urls import HTTPS
from pizza.taskqueue.broker import address as broker_address


class SettingsError(Exception):
    """A setting is missing or invalid; the text names it and says what is valid."""


@dataclass(frozen=True)
class Settings:
    """The settings of a process. `load` makes them; tests pass keyword arguments."""

    mode: str | None = None
    db_url: str = field(default="", repr=False)
    db_pool: str | None = field(default=None, repr=False)
    db_trusted_network: bool = False
    rabbitmq: str = field(default="localhost:5672", repr=False)
    rabbitmq_user: str | None = None
    rabbitmq_pass: str | None = field(default=None, repr=False)
    host: str = "127.0.0.1"
    port: int = 3000
    reuse_port: bool = False
    max_concurrent: int | None = None
    worker_name: str = ""
    order_types: tuple[str, ...] = ORDER_TYPES
    station: str = KITCHEN
    stations: tuple[str, ...] = STATION_NAMES
    station_time: float = 2.0
    send_back_percent: float = 0.0
    priority_aging: float = 300.0
    cooking_time: float = 10.0
    customer: str | None = None
    notification_types: tuple[str, ...] = STATUSES
    subscriber_name: str = ""
    retention_days: float = 90.0
    personal_data_days: float = 365.0
    stuck_factor: float = 3.0
    monitor_interval: float = 2.0
    webhook_schemes: tuple[str, ...] = (HTTPS,)
    webhook_private_targets: bool = False
    webhook_threads: int = 4
    log_level: str = "INFO"
    log_file: str | None = None
    shutdown_grace_period: float = 15.0
    web_workers: int = 2
    web_threads: int = 3
    max_streams: int = 1000
    heartbeat_seconds: float = 10.0
    lease_seconds: float = 15.0
    env: str = DEVELOPMENT
    staff_keys: tuple[parsers.Key, ...] = field(default=(), repr=False)
    staff_key_file: tuple[parsers.Key, ...] = field(default=(), repr=False)
    prices: str | None = None
    client_order_limit: int | None = None
    rate_limit: int = 600
    trusted_proxies: tuple[parsers.Network, ...] = ()
    cors_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] | None = None
    session_idle: float = 7200.0
    audit_days: float = 730.0

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
        for name in names:
            if not getattr(self, name):
                option = _BY_NAME[name]
                raise SettingsError(
                    f"{option.flag} is missing: give {option.flag}=… or set {option.variable} "
                    f"({option.meaning})."
                )


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
    for option in OPTIONS:
        raw = flags.get(option.name)
        if raw is None:
            raw = environ.get(option.variable) or from_file.get(option.variable) or None
        if raw is None:
            continue
        try:
            given[option.name] = option.parse(raw)
        except ValueError as problem:
            raise SettingsError(f"{option.label} {problem}.") from None
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


_BY_NAME = {option.name: option for option in OPTIONS}

assert set(_BY_NAME) == {item.name for item in fields(Settings)}, "OPTIONS and Settings differ"
