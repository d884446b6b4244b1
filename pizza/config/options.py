"""Options of the program: how a field of Settings is given by flag and environment variable."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

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


@dataclasses.dataclass(frozen=True, slots=True)
class Option:
    """One setting: field of Settings, flag, environment variable, parser.

    flag: empty for a secret that must not be on a command line, where `ps` shows it. meaning: of a
    required one, for the error when it is missing.
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


def option(
    default: object, parse: Callable[[str], Any], *, secret: bool = False, **other: str
) -> Any:
    """A field of Settings that a flag and an environment variable set.

    secret: leave the value out of repr. other: `flag`, by default the field's name with dashes;
    `variable`, by default the flag in capitals with underscores; `meaning`.
    """
    return dataclasses.field(default=default, repr=not secret, metadata={"parse": parse, **other})


def options_of(settings: type) -> tuple[Option, ...]:
    """The options that the fields of a dataclass define, in their order."""
    return tuple(_option_of(field.name, **field.metadata) for field in dataclasses.fields(settings))


def _option_of(name: str, parse: Callable[[str], Any], **other: str) -> Option:
    flag = other.get("flag", f"--{name.replace('_', '-')}")
    word = (flag or name).removeprefix("--").replace("-", "_")
    return Option(name, flag, other.get("variable", word.upper()), parse, other.get("meaning", ""))
