"""Parsers of settings: one function for each kind of value.

A parser takes the text and returns the value. It raises ValueError with the rest of a sentence that
starts with the setting's name.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from pizza.config.weak_secrets import weakness
from pizza.database import address
from pizza.domain.order import ORDER_TYPES
from pizza.taskqueue.broker import address as broker_address

WORKER_NAME_LENGTH = 50

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_DIGEST_PREFIX = "sha256:"
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_ORIGIN = re.compile(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?")
_HOST_NAME = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_CONNINFO_PASSWORD = re.compile(r"password\s*=\s*(?:'((?:\\.|[^'\\])*)'|(\S+))")


@dataclass(frozen=True, slots=True)
class Key:
    """A secret, kept as its SHA-256 digest.

    weakness: why it can be guessed, as the rest of "it …"; empty when it cannot, and for a key that
    was given as a digest.
    """

    digest: bytes
    weakness: str = ""


def choice(*choices: str, fold: Callable[[str], str] = str) -> Callable[[str], str]:
    """A parser of one of these words. fold: normalizes the text first."""

    def parse(raw: str) -> str:
        if fold(raw) not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}, not {raw!r}")
        return fold(raw)

    return parse


def parse_bool(raw: str) -> bool:
    """Parse yes or no, in any case."""
    if raw.lower() not in ("yes", "no"):
        raise ValueError(f"must be yes or no, not {raw!r}")
    return raw.lower() == "yes"


def int_range(low: int, high: int) -> Callable[[str], int]:
    """A parser of a whole number from `low` to `high`."""

    def parse(raw: str) -> int:
        # int() would also accept "1_000", "٣" and " 7 ".
        if not (raw.isascii() and raw.isdigit() and len(raw) < 12 and low <= int(raw) <= high):
            raise ValueError(f"must be a whole number from {low} to {high}, not {raw!r}")
        return int(raw)

    return parse


def seconds_range(low: float, high: float) -> Callable[[str], float]:
    """A parser of a number of seconds from `low` to `high`."""
    return float_range(low, high, "a number of seconds")


def list_of(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    """A parser of some of these words, separated by commas, or `all` or `none`."""

    def parse(raw: str) -> tuple[str, ...]:
        words = tuple(dict.fromkeys(word.strip() for word in raw.split(",")))
        if words in (("all",), ("none",)):
            return known if words == ("all",) else ()
        for word in words:
            if word not in known:
                raise ValueError(f"knows {', '.join(known)}, not {word!r}")
        return words

    return parse


def parse_order_types(raw: str) -> tuple[str, ...]:
    """Parse order types or menu tags, separated by commas, or `all`."""
    # pizza.processes.kitchen_worker checks the tags against the menu in the database.
    words = tuple(dict.fromkeys(word.strip() for word in raw.split(",")))
    if words == ("all",):
        return ORDER_TYPES
    for word in words:
        if not word or not word.isprintable() or len(word) > WORKER_NAME_LENGTH:
            raise ValueError(f"must be order types or menu tags with commas between, not {raw!r}")
    return words


def float_range(low: float, high: float, what: str = "a number") -> Callable[[str], float]:
    """A parser of a number from `low` to `high`. what: its name in an error."""

    def parse(raw: str) -> float:
        try:
            value = float(raw)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise ValueError(f"must be {what} from {low:g} to {high:g}, not {raw!r}")
        return value

    return parse


def parse_worker_name(raw: str) -> str:
    """Parse a name that fits the table `workers`."""
    if not (raw.strip() and raw.isprintable() and len(raw) <= WORKER_NAME_LENGTH):
        raise ValueError(f"must be 1 to {WORKER_NAME_LENGTH} printable characters")
    return raw


def parse_subscriber_name(raw: str) -> str:
    """Parse a name that can be part of a queue's name."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,50}", raw):
        raise ValueError(f"must be 1 to {WORKER_NAME_LENGTH} letters, digits, dots, _ or -")
    return raw


def parse_text(raw: str) -> str:
    """Parse any text that is not empty."""
    if not raw or "\0" in raw:
        raise ValueError("must not be empty or contain NUL")
    return raw


def parse_db_url(raw: str) -> str:
    """Parse a PostgreSQL connection string, in any form that libpq accepts."""
    if problem := address.problem(raw):
        raise ValueError(problem)
    return raw


def parse_broker_url(raw: str) -> str:
    """Parse a host, host:port, several of them, or an amqp:// URL."""
    broker_address.parse(raw)
    return raw


def parse_host(raw: str) -> str:
    """Parse an address to listen on."""
    if not raw or not raw.isprintable() or " " in raw or "/" in raw:
        raise ValueError(f"must be an address to listen on, not {raw!r}")
    return raw


def parse_keys(raw: str) -> tuple[Key, ...]:
    """Parse keys separated by commas or spaces; a key may be `sha256:` and 64 hex digits."""
    words = [word for word in re.split(r"[,\s]+", raw) if word]
    # The text is a secret, so no error quotes it.
    if not words or not all(word.isascii() and word.isprintable() for word in words):
        raise ValueError("must be one or more keys of ASCII characters, with commas between")
    return tuple(map(_key, words))


def parse_key_file(path: str) -> tuple[Key, ...]:
    """Read the keys in a file, one on each line."""
    try:
        return parse_keys(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as problem:
        raise ValueError(f"cannot be read: {type(problem).__name__}") from None
    except ValueError as problem:
        raise ValueError(f"must name a file with a key on each line: it {problem}") from None


def _key(word: str) -> Key:
    if given := _DIGEST.fullmatch(word):
        return Key(bytes.fromhex(given[1]))
    if word.lower().startswith(_DIGEST_PREFIX):
        # Otherwise the text itself, which may be public, would become the key.
        raise ValueError(f"has a key that begins with {_DIGEST_PREFIX} and has no 64 hex digits")
    return Key(hashlib.sha256(word.encode()).digest(), weakness(word) or "")


def parse_networks(raw: str) -> tuple[Network, ...]:
    """Parse IP addresses and networks, separated by commas, or `none`."""
    if raw == "none":
        return ()
    try:
        return tuple(ipaddress.ip_network(word.strip()) for word in raw.split(","))
    except ValueError:
        raise ValueError(
            f"must be addresses or networks with commas between, not {raw!r}"
        ) from None


def parse_origins(raw: str) -> tuple[str, ...]:
    """Parse origins as browsers write them, separated by commas, `*` for all, or `none`."""
    if raw in ("none", "*"):
        return ("*",) if raw == "*" else ()
    return tuple(dict.fromkeys(_origin(word.strip()) for word in raw.split(",")))


def _origin(word: str) -> str:
    found = _ORIGIN.fullmatch(word.lower())
    if found is None:
        raise ValueError(f"must be origins such as https://shop.example, not {word!r}")
    scheme, host, port = found.groups()
    return f"{scheme}://{host}{'' if port == _DEFAULT_PORTS[scheme] else port or ''}"


def parse_host_names(raw: str) -> tuple[str, ...]:
    """Parse host names, addresses or `*.example.org`, separated by commas, without ports."""
    words = tuple(dict.fromkeys(word.strip().lower() for word in raw.split(",")))
    if not all(map(_HOST_NAME.fullmatch, words)):
        raise ValueError(
            f"must be host names such as pizza.example or *.example.org, without ports, not {raw!r}"
        )
    return words


def is_loopback(name: str) -> bool:
    """Whether a host name or address means this machine. Makes no DNS query."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def find_passwords(text: str) -> set[str]:
    """The passwords in a URL or in a `host=… password=…` string, encoded and decoded."""
    known = address.passwords(text)
    if "://" not in text:
        matches = _CONNINFO_PASSWORD.findall(text)
        return known | {quoted.replace("\\", "") or plain for quoted, plain in matches}
    try:
        url = urlsplit(text)
    except ValueError:  # refused later, in a sentence without the text
        return known | {text.partition("://")[2]}
    found = known | ({url.password} if url.password else set())
    for name, given in parse_qs(url.query).items():
        found |= set(given) if "password" in name else set()
    return found | {unquote(each) for each in found}


def redact(text: str) -> str:
    """Replace user and password of each URL and connection string in a text by `***`."""
    text = re.sub(r"://[^\s'\"]*@", "://***@", text)
    return _CONNINFO_PASSWORD.sub("password=***", text)
