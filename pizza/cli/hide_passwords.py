"""Hide passwords of the command line, which `ps` shows to every user of the machine.

The program executes itself again, under the same process id, with these settings as environment
variables, which only its user and root can read. Until then the passwords are visible: set DB_URL
and RABBITMQ_PASS as variables to avoid that.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from pizza.config import parsers
from pizza.config.settings import OPTIONS

_MAY_BE_SECRET = ("db_url", "db_pool", "rabbitmq", "rabbitmq_pass")


def hide_passwords() -> None:
    """Execute this program again if its command line has a password."""
    # The interpreter's options come before the program.
    before = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv) + 1]
    kept, variables = split_passwords(sys.argv[1:])
    if variables and before:
        arguments = [sys.executable, *before, *kept]
        os.execve(sys.executable, arguments, {**os.environ, **variables})  # noqa: S606


def split_passwords(argv: Sequence[str]) -> tuple[list[str], Mapping[str, str]]:
    """The arguments without passwords, and the others as environment variables."""
    flags = {option.flag: option for option in OPTIONS if option.name in _MAY_BE_SECRET}
    kept: list[str] = []
    given: dict[str, str] = {}  # the last value of a flag counts
    words = iter(argv)
    for word in words:
        flag, equals, value = word.partition("=")
        if flag not in flags:
            kept.append(word)
            continue
        following = value if equals else next(words, None)
        if following is None:
            return list(argv), {}  # click refuses it
        given[flag] = following
    variables = {}
    for flag, value in given.items():
        # An empty value has to stay a flag, which is refused; an empty variable counts as not set.
        # A value with an @ may have a password that is not percent-encoded.
        if value and (flag == "--rabbitmq-pass" or "@" in value or parsers.find_passwords(value)):
            variables[flags[flag].variable] = value
        else:
            kept.append(f"{flag}={value}")
    return kept, variables
