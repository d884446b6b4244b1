"""What the text of a setting means: one reader for each kind of value.

A reader returns the value, or raises ValueError with the rest of a sentence that begins with the
setting's name.
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

_DIGEST_MARK = "sha256:"
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_ORIGIN = re.compile(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?")
_HOST_NAME = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]")
_USUAL_PORTS = {"http": ":80", "https": ":443"}
_CONNINFO_PASSWORD = re.compile(r"password\s*=\s*(?:'((?:\\.|[^'\\])*)'|(\S+))")


@dataclass(frozen=True, slots=True)
class Key:
    """A secret that is known by its SHA-256 only.

    weakness: why it could be found by trying, as the rest of "it …"; empty for a sound one, and for
    one that was given by its SHA-256.
    """

    digest: bytes
    weakness: str = ""

    @property
    def short(self) -> bool:
        """Whether it could be found by trying."""
        return bool(self.weakness)


def one_of(*choices: str, fold: Callable[[str], str] = str) -> Callable[[str], str]:
    """One of these words, after `fold`."""

    def read(raw: str) -> str:
        if fold(raw) not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}, not {raw!r}")
        return fold(raw)

    return read


def yes_or_no(raw: str) -> bool:
    """Yes or no."""
    if raw.lower() not in ("yes", "no"):
        raise ValueError(f"must be yes or no, not {raw!r}")
    return raw.lower() == "yes"


def integer(low: int, high: int) -> Callable[[str], int]:
    """A whole number in a range."""

    def read(raw: str) -> int:
        # int() would also take "1_000", "٣" and " 7 ".
        if not (raw.isascii() and raw.isdigit() and len(raw) < 12 and low <= int(raw) <= high):
            raise ValueError(f"must be a whole number from {low} to {high}, not {raw!r}")
        return int(raw)

    return read


def seconds(low: float, high: float) -> Callable[[str], float]:
    """A number of seconds in a range."""
    return number(low, high, "a number of seconds")


def words(known: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    """Some of these words with commas between; `all` or `none` of them."""

    def read(raw: str) -> tuple[str, ...]:
        words = tuple(dict.fromkeys(word.strip() for word in raw.split(",")))
        if words in (("all",), ("none",)):
            return known if words == ("all",) else ()
        for word in words:
            if word not in known:
                raise ValueError(f"knows {', '.join(known)}, not {word!r}")
        return words

    return read


def specialities(raw: str) -> tuple[str, ...]:
    """Order types or menu tags."""
    # Whether a word is on the menu only the database knows (pizza.processes.kitchen_worker).
    words = tuple(dict.fromkeys(word.strip() for word in raw.split(",")))
    if words == ("all",):
        return ORDER_TYPES
    for word in words:
        if not word or not word.isprintable() or len(word) > WORKER_NAME_LENGTH:
            raise ValueError(f"must be order types or menu tags with commas between, not {raw!r}")
    return words


def number(low: float, high: float, what: str = "a number") -> Callable[[str], float]:
    """A number in a range."""

    def read(raw: str) -> float:
        try:
            value = float(raw)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise ValueError(f"must be {what} from {low:g} to {high:g}, not {raw!r}")
        return value

    return read


def worker_name(raw: str) -> str:
    """A name as the table `workers` can hold it."""
    if not (raw.strip() and raw.isprintable() and len(raw) <= WORKER_NAME_LENGTH):
        raise ValueError(f"must be 1 to {WORKER_NAME_LENGTH} printable characters")
    return raw


def subscriber_name(raw: str) -> str:
    """A name that can be part of a queue's."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,50}", raw):
        raise ValueError(f"must be 1 to {WORKER_NAME_LENGTH} letters, digits, dots, _ or -")
    return raw


def text(raw: str) -> str:
    """Any text but none."""
    if not raw or "\0" in raw:
        raise ValueError("must not be empty or contain NUL")
    return raw


def db_url(raw: str) -> str:
    """A PostgreSQL connection string, of all forms that libpq takes."""
    if problem := address.problem(raw):
        raise ValueError(problem)
    return raw


def broker_url(raw: str) -> str:
    """A host, host:port, several of them, or an amqp:// URL."""
    broker_address.parse(raw)
    return raw


def host(raw: str) -> str:
    """An address to listen on."""
    if not raw or not raw.isprintable() or " " in raw or "/" in raw:
        raise ValueError(f"must be an address to listen on, not {raw!r}")
    return raw


def keys(raw: str) -> tuple[Key, ...]:
    """Keys with commas or spaces between; one may be given as `sha256:` and 64 hex digits."""
    words = [word for word in re.split(r"[,\s]+", raw) if word]
    # What was given is a secret, and stands in no sentence.
    if not words or not all(word.isascii() and word.isprintable() for word in words):
        raise ValueError("must be one or more keys of ASCII characters, with commas between")
    return tuple(map(_key, words))


def keys_of_file(path: str) -> tuple[Key, ...]:
    """The keys in a file, each on a line of its own."""
    try:
        return keys(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as problem:
        raise ValueError(f"cannot be read: {type(problem).__name__}") from None
    except ValueError as problem:
        raise ValueError(f"must name a file with a key on each line: it {problem}") from None


def _key(word: str) -> Key:
    if given := _DIGEST.fullmatch(word):
        return Key(bytes.fromhex(given[1]))
    if word.lower().startswith(_DIGEST_MARK):
        # Taken for a key, it would be one that stands in a file for everybody to read.
        raise ValueError(f"has a key that begins with {_DIGEST_MARK} and has no 64 hex digits")
    return Key(hashlib.sha256(word.encode()).digest(), weakness(word) or "")


def networks(raw: str) -> tuple[Network, ...]:
    """IP addresses and networks with commas between, or none."""
    if raw == "none":
        return ()
    try:
        return tuple(ipaddress.ip_network(word.strip()) for word in raw.split(","))
    except ValueError:
        raise ValueError(
            f"must be addresses or networks with commas between, not {raw!r}"
        ) from None


def origins(raw: str) -> tuple[str, ...]:
    """Origins as browsers write them with commas between, `*` for all, or none."""
    if raw in ("none", "*"):
        return ("*",) if raw == "*" else ()
    return tuple(dict.fromkeys(_origin(word.strip()) for word in raw.split(",")))


def _origin(word: str) -> str:
    found = _ORIGIN.fullmatch(word.lower())
    if found is None:
        raise ValueError(f"must be origins such as https://shop.example, not {word!r}")
    scheme, host, port = found.groups()
    return f"{scheme}://{host}{'' if port == _USUAL_PORTS[scheme] else port or ''}"


def host_names(raw: str) -> tuple[str, ...]:
    """Host names or addresses with commas between, without ports; `*.example.org` for all below."""
    words = tuple(dict.fromkeys(word.strip().lower() for word in raw.split(",")))
    if not all(map(_HOST_NAME.fullmatch, words)):
        raise ValueError(
            f"must be host names such as pizza.example or *.example.org, without ports, not {raw!r}"
        )
    return words


def is_loopback(name: str) -> bool:
    """Whether only this machine can be meant by a host's name or address. Asks nobody."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def passwords(text: str) -> set[str]:
    """The passwords in a URL or in a `host=… password=…` string, as written and as meant."""
    known = address.passwords(text)
    if "://" not in text:
        return known | {quoted.replace("\\", "") or plain for quoted, plain
                        in _CONNINFO_PASSWORD.findall(text)}  # fmt: skip
    try:
        url = urlsplit(text)
    except ValueError:  # refused later, by a sentence that does not quote it
        return known | {text.partition("://")[2]}
    found = known | ({url.password} if url.password else set())
    for name, given in parse_qs(url.query).items():
        found |= set(given) if "password" in name else set()
    return found | {unquote(each) for each in found}


def mask(text: str) -> str:
    """The text without the user and password of any URL, or of a connection string, in it."""
    text = re.sub(r"://[^\s'\"]*@", "://***@", text)
    return _CONNINFO_PASSWORD.sub("password=***", text)
