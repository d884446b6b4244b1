"""Passwords on the command line, out of sight: `ps` shows everybody how a process was started.

The program replaces itself, under the same process id, by itself with these settings as environment
variables, which only its user and root can read. For the moment until then they can be seen: who
minds gives DB_URL and RABBITMQ_PASS as variables in the first place.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from pizza.config import parsers
from pizza.config.options import OPTIONS

_MAY_BE_SECRET = ("db_url", "db_pool", "rabbitmq", "rabbitmq_pass")


def hide_secrets() -> None:
    """Start this program anew where its command line has a password; else do nothing."""
    # Only what is ours: the interpreter's own options come before the program.
    before = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv) + 1]
    kept, variables = without_secrets(sys.argv[1:])
    if variables and before:
        arguments = [sys.executable, *before, *kept]
        os.execve(sys.executable, arguments, {**os.environ, **variables})  # noqa: S606


def without_secrets(argv: Sequence[str]) -> tuple[list[str], Mapping[str, str]]:
    """The arguments that anybody may see, and the others as environment variables."""
    flags = {option.flag: option for option in OPTIONS if option.name in _MAY_BE_SECRET}
    kept: list[str] = []
    given: dict[str, str] = {}  # the last of a flag counts
    words = iter(argv)
    for word in words:
        flag, equals, value = word.partition("=")
        if flag not in flags:
            kept.append(word)
            continue
        following = value if equals else next(words, None)
        if following is None:
            return list(argv), {}  # refused with a sentence
        given[flag] = following
    variables = {}
    for flag, value in given.items():
        # An empty value is refused, and an empty variable would count as none.
        # One with an @ may have a password that was not written as a URL wants it.
        if value and (flag == "--rabbitmq-pass" or "@" in value or parsers.find_passwords(value)):
            variables[flags[flag].variable] = value
        else:
            kept.append(f"{flag}={value}")
    return kept, variables
