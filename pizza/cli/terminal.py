"""What a command prints, whatever the terminal can show and whatever fails."""

from __future__ import annotations

import errno
import json
import logging
import re
import sys
import traceback
from collections.abc import Generator
from contextlib import contextmanager
from io import TextIOWrapper

import click

from pizza.config import parsers
from pizza.config.settings import Settings, SettingsError
from pizza.taskqueue.printable import printable

log = logging.getLogger(__name__)

_FAILED = 1
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_LONGEST = 500


def accept_any_text() -> None:
    """Let stdout and stderr write what their encoding lacks as escapes such as `\\u0142`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print text that may have come from other people or programs.

    What a terminal would obey instead of showing it is replaced (pizza.taskqueue.printable).
    err: on stderr. nl: end the line.
    """
    click.echo(printable(text), err=err, nl=nl)  # noqa: TID251


def json_text(document: str) -> str:
    """A JSON document as stdout can write it: with JSON's own escapes unless stdout is UTF-8."""
    if (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8":
        return document
    return _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], document)


@contextmanager
def sentences(program: str, settings: Settings | None = None) -> Generator[None, None, None]:
    """Run a command. An error that it does not expect is logged, and ends the process with a
    sentence on stderr and exit code 1; with the log level DEBUG its stack is there, too.

    settings: those of the command, whose passwords are left out.
    """
    try:
        yield
    except (click.ClickException, click.Abort, click.exceptions.Exit, SettingsError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            raise  # the reader has seen enough; click knows
        log.error("Unexpected error", exc_info=error, extra={"action": "crash"})
        stack = "".join(traceback.format_exception(error))
        debug = settings is not None and settings.log_level == "DEBUG"
        sentence = f"{program}: unexpected error: {_words(error)}"
        for text in [sentence, *([stack] if debug else [])]:
            echo(_without_secrets(text, settings), err=True)
        if not debug:
            echo(f"{program}: LOG_LEVEL=DEBUG shows where.", err=True)
        sys.exit(_FAILED)


def _words(error: BaseException) -> str:
    """The type and the text of an error, on one line."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # any class may have a broken __str__
        text = ""
    return f"{type(error).__name__}: {text}".removesuffix(": ")[:_LONGEST]


def _without_secrets(text: str, settings: Settings | None) -> str:
    for secret in settings.secrets if settings is not None else ():
        text = text.replace(secret, "***")
    return parsers.redact(text)
