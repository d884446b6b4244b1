"""The log: one JSON object on one line for each event, from every process.

A line has the fields of the specification, in its order, without empty ones: timestamp, level,
service, worker_name, order_number, action, message, duration_ms, priority, details. Then follows
trace_id, which all lines of one request share, in all processes (pizza.taskqueue.trace). Callers
give the fields in `extra`, or call pizza.taskqueue.logs.log_action:

    log_action(log.info, "order_received", "Order received", {"priority": 10}, order_number=number)

Warnings, lines of libraries and uncaught exceptions of any thread have the same form. `details`
has the type and the text of an exception; its stack only at DEBUG.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
import traceback
from decimal import Decimal
from typing import Any

from pythonjsonlogger.json import JsonEncoder, JsonFormatter

from pizza.config.parsers import redact
from pizza.config.settings import Settings, SettingsError
from pizza.observability.log_handler import JsonLogHandler
from pizza.taskqueue import trace
from pizza.taskqueue.logs import log_action

_LEVEL_NAMES = {"WARNING": "WARN", "CRITICAL": "ERROR", "NOTSET": "DEBUG"}

# The least level of libraries; with --log-level=DEBUG it is INFO, as below that is noise.
_LIBRARIES = {
    "amqp": logging.WARNING,
    "kombu": logging.WARNING,
    # Warns of each failed connection; our own line reports it once.
    "psycopg": logging.ERROR,
    # Warns of numbers of threads and workers that we measured.
    "_granian": logging.ERROR,
    "werkzeug": logging.INFO,
    # Logs each rejected request; the client gets 429.
    "limits": logging.ERROR,
}

# Shorter passwords are not redacted: they are no secret, and occur in other words.
_MIN_SECRET_LENGTH = 6

log = logging.getLogger("pizza")


def setup_logging(settings: Settings) -> None:
    """Write all logging of this process to stdout, or to `--log-file`, as JSON lines.

    A later call replaces an earlier one. Raises SettingsError when the log file cannot be opened.
    """
    handler = _handler(settings)
    handler.setFormatter(LineFormatter(settings))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    level = logging.getLevelNamesMapping()[settings.log_level]
    root.setLevel(level)
    for name, least in _LIBRARIES.items():
        lowest = logging.INFO if level == logging.DEBUG else max(level, least)
        logging.getLogger(name).setLevel(lowest)
    logging.captureWarnings(True)
    # Do not collect fields of records that no line shows (see the documentation of logging).
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.raiseExceptions = False  # a closed stdout must not cause tracebacks on stderr
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable


def _handler(settings: Settings) -> logging.Handler:
    if settings.log_file is not None:
        try:
            return JsonLogHandler.to_file(settings.log_file)
        except OSError as problem:
            reason = problem.strerror or type(problem).__name__
            raise SettingsError(f"--log-file (LOG_FILE) cannot be opened: {reason}.") from None
    try:
        return JsonLogHandler(os.dup(sys.__stdout__.fileno() if sys.__stdout__ else 1))
    except (OSError, ValueError):  # stdout is closed
        return logging.NullHandler()


class LineFormatter(JsonFormatter):
    """Formats a record as one JSON line, faster than its base class."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._service = settings.service
        self._worker_name = (
            settings.worker_name or None if settings.mode == "kitchen-worker" else None
        )
        self._secrets = tuple(s for s in settings.secrets if len(s) >= _MIN_SECRET_LENGTH)
        self._encoded_secrets = tuple(json.dumps(secret)[1:-1] for secret in self._secrets)
        self._stacks = settings.log_level == "DEBUG"
        # ASCII only, because readers may split lines at Unicode's line separators.
        self._encode = _Encoder(separators=(",", ":")).encode
        self._second: tuple[int, str] = (-1, "")

    def format(self, record: logging.LogRecord) -> str:
        """Build the line; never raises."""
        given = record.__dict__
        fields = {
            "timestamp": self._timestamp(record.created),
            "level": _LEVEL_NAMES.get(record.levelname, record.levelname),
            "service": self._service,
            "worker_name": given.get("worker_name") or self._worker_name,
            "order_number": given.get("order_number"),
            "action": given.get("action"),
            "message": self._redact(_message(record)),
            "duration_ms": given.get("duration_ms"),
            "priority": given.get("priority"),
            "details": self._details(record, given.get("details")),
            "trace_id": trace.current_id(),
        }
        line = {name: value for name, value in fields.items() if value is not None and value != {}}
        try:
            text = self._encode(line)
            if any(secret in text for secret in self._encoded_secrets):
                text = self._encode(self._redact_all(line))
            return text
        except (TypeError, ValueError, RecursionError):
            line["details"] = {"unprintable": self._redact(repr(type(given.get("details"))))}
            return json.dumps(line, default=str)

    def _timestamp(self, created: float) -> str:
        seconds, fraction = divmod(created, 1)
        cached = self._second
        if cached[0] != seconds:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
            cached = self._second = (int(seconds), text)
        return f"{cached[1]}.{int(fraction * 1000):03d}Z"

    def _details(self, record: logging.LogRecord, details: Any) -> Any:
        if not record.exc_info or record.exc_info[0] is None:
            return details
        kind, error, stack = record.exc_info
        found = dict(details) if isinstance(details, dict) else {}
        found["error"] = kind.__name__
        found["reason"] = self._redact(_one_line(error))
        if self._stacks:
            found["stack"] = self._redact("".join(traceback.format_exception(kind, error, stack)))
        return found

    def _redact_all(self, value: Any) -> Any:
        """Redact all texts of a value, except the names of fields."""
        match value:
            case str():
                return self._redact(value)
            case dict():
                return {name: self._redact_all(each) for name, each in value.items()}
            case list() | tuple():
                return [self._redact_all(each) for each in value]
        return value

    def _redact(self, text: str) -> str:
        # Finds passwords that are no setting of this process, or too short.
        if "://" in text:
            text = redact(text)
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, "***")
        return text


class _Encoder(JsonEncoder):
    """Writes prices as numbers, and everything else as python-json-logger does."""

    def default(self, o: Any) -> Any:
        # At most ten digits (decimal(10,2)): a float prints them all.
        return float(o) if isinstance(o, Decimal) else super().default(o)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # a caller's wrong % arguments must not lose the event
        return str(record.msg)


def _one_line(error: BaseException | None) -> str:
    try:
        return " ".join(str(error).split())
    except Exception:  # any class may have a broken __str__
        return "(this exception has no text)"


def _uncaught(kind: type[BaseException], error: BaseException, stack: Any) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        log_action(log.error, "crash", "Unexpected error", error=error)


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit and args.exc_value is not None:
        name = args.thread.name if args.thread else "?"
        log_action(log.error, "crash", f"Unexpected error in thread {name}", error=args.exc_value)


def _unraisable(args: Any) -> None:
    error = args.exc_value or RuntimeError("unknown")
    log_action(log.warning, "unraisable", "Error while cleaning up", error=error)
