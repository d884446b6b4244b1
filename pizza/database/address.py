"""Database addresses, as libpq reads them: URLs and conninfo strings, one host or several."""

from __future__ import annotations

import re

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

_FORM = "must look like postgres://user:pass@host:port/dbname or host=… dbname=…"
_PORTS = "must have ports from 1 to 65535, one for each host or one for all"
# libpq reports a failed connection to this socket only after it has accepted all parameters.
_NO_SOCKET = "/nonexistent"
_CONNECTION_FAILED = "connection to server"
_WHOLE_NUMBERS = (
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
)
_INTEGER = re.compile(r"\s*-?\d+\s*")
# Parameters, and libpq's "invalid … value" for them, never hold a password.
_PARAMETER = re.compile(r'invalid (\w+) value: "([^"]*)"')


def problem(address: str) -> str | None:
    """Why libpq cannot use an address, as the rest of a sentence; None when it can.

    Connects to no server. The text quotes nothing that could be part of a password.
    """
    if "\0" in address:
        return _FORM
    try:
        given = conninfo_to_dict(address)
    except psycopg.Error as error:
        unknown = "query parameter" in str(error) or "connection option" in str(error)
        return "has a parameter that libpq does not know" if unknown else _FORM
    if not given:
        return _FORM
    for name in _WHOLE_NUMBERS:
        if not _INTEGER.fullmatch(str(given.get(name, 0))):
            return f"has a {name} that is no whole number"
    return _libpq_problem({name: str(value) for name, value in given.items()})


def _libpq_problem(given: dict[str, str]) -> str | None:
    """Why libpq itself refuses these parameters, or None. Tries them on a socket without server."""
    count = max(len(given.get(name, "").split(",")) for name in ("host", "hostaddr"))
    elsewhere = {**given, "host": ",".join([_NO_SOCKET] * count), "hostaddr": ""}
    conn = pq.PGconn.connect_start(make_conninfo("", **elsewhere).encode())
    try:
        message = conn.error_message.decode(errors="replace").strip()
    finally:
        conn.finish()
    if not message or message.startswith(_CONNECTION_FAILED):
        return None
    if "port" in message:
        return _PORTS
    if found := _PARAMETER.match(message):
        return f"has {found[1]}={found[2]}, which libpq does not know"
    return f"is refused by libpq: {message.splitlines()[0]}"


def parameters(address: str) -> dict[str, str]:
    """The parameters in effect: from the address, else PG… variables, else libpq's defaults.

    The address has to be valid (see `problem`).
    """
    given = {name: str(value) for name, value in conninfo_to_dict(address).items()}
    known = _values(pq.Conninfo.get_defaults())
    return known | (_of_service(given) if "service" in given else {}) | given


def _of_service(given: dict[str, str]) -> dict[str, str]:
    """The parameters of the service file, as libpq reads them while it fails to connect."""
    elsewhere = {**given, "hostaddr": "127.0.0.1", "port": "1"}
    conn = pq.PGconn.connect_start(make_conninfo("", **elsewhere).encode())
    try:
        found = _values(conn.info)
    finally:
        conn.finish()
    return {name: value for name, value in found.items() if name not in ("hostaddr", "port")}


def _values(options: list[pq.ConninfoOption]) -> dict[str, str]:
    return {each.keyword.decode(): each.val.decode() for each in options if each.val}


def hosts(address: str) -> list[str]:
    """The names or IP addresses of all hosts; empty or a path for a local socket."""
    given = parameters(address)
    names = given.get("host", "").split(",")
    numbers = given.get("hostaddr", "").split(",")
    if len(names) < len(numbers):
        names = [""] * len(numbers)
    if len(numbers) < len(names):
        numbers = [""] * len(names)
    return [number or name for name, number in zip(names, numbers, strict=True)]


def passwords(address: str) -> set[str]:
    """The passwords in an address; empty when libpq cannot read it."""
    try:
        given = conninfo_to_dict(address)
    except psycopg.Error:
        return set()
    return {str(value) for name, value in given.items() if "password" in name and value}
