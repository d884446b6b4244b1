"""Output of commands for any terminal, and their unexpected errors."""

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
from pizza.observability.printable import printable

log = logging.getLogger(__name__)

_FAILED = 1
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_MAX_ERROR_LENGTH = 500


def accept_any_text() -> None:
    """Make stdout and stderr escape characters that their encoding lacks, such as `\\u0142`."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print text that may come from other people or programs.

    Terminal control sequences are replaced (pizza.observability.printable). err: print on stderr.
    nl: end the line.
    """
    click.echo(printable(text), err=err, nl=nl)  # noqa: TID251


def json_text(document: str) -> str:
    """A JSON document for stdout: escaped to ASCII unless stdout is UTF-8."""
    if (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8":
        return document
    return _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], document)


@contextmanager
def report_errors(program: str, settings: Settings | None = None) -> Generator[None, None, None]:
    """Log an unexpected error of the block, print it on stderr, and exit with 1.

    The stack is printed at log level DEBUG only. settings: their passwords are not printed.
    """
    try:
        yield
    except (click.ClickException, click.Abort, click.exceptions.Exit, SettingsError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            raise  # the reader has closed the pipe; click handles it
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
    return f"{type(error).__name__}: {text}".removesuffix(": ")[:_MAX_ERROR_LENGTH]


def _without_secrets(text: str, settings: Settings | None) -> str:
    for secret in settings.secrets if settings is not None else ():
        text = text.replace(secret, "***")
    return parsers.redact(text)
