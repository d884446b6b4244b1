"""The address of RabbitMQ: hosts, virtual host, user and password, TLS.

The form is that of RabbitMQ's URI specification, with several hosts where it has one.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

FORM = "must be a host, host:port, several with commas between, or an amqp:// URL"
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^\s\[\]:;,@/?#]+)(?::(?P<port>\d{1,5}))?")
_PORTS = {"amqp": 5672, "amqps": 5671}
_TLS_OPTIONS = ("cacertfile", "certfile", "keyfile", "server_name_indication", "verify")
_TIMEOUT = "connection_timeout"
KNOWN = (*_TLS_OPTIONS, _TIMEOUT)
_TIMEOUTS_MS = range(100, 5001)
GUEST = "guest"


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """The address of RabbitMQ. `parse` makes it.

    hosts: names or IP addresses (IPv6 without brackets) with ports, to be tried in this order.
    options: the parameters of the URL as given, each in `KNOWN`.
    """

    hosts: tuple[tuple[str, int], ...]
    user: str
    password: str = field(repr=False)
    vhost: str
    tls: bool
    options: Mapping[str, str]

    @property
    def connection_timeout(self) -> float | None:
        """Seconds that connecting to one host may take; None if the address has no such option."""
        given = self.options.get(_TIMEOUT)
        return int(given) / 1000 if given is not None else None

    @property
    def url(self) -> str:
        """The amqp:// URL, with the password. Never log it."""
        hosts = ",".join(map(host_and_port, self.hosts))
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        # The virtual host "/" is written as kombu writes it.
        path = "/" if self.vhost == "/" else quote(self.vhost, safe="")
        query = f"?{urlencode(self.options)}" if self.options else ""
        return f"{'amqps' if self.tls else 'amqp'}://{login}@{hosts}/{path}{query}"

    def with_login(self, user: str | None, password: str | None) -> BrokerAddress:
        """With another user or password, where one is given."""
        return replace(self, user=user or self.user, password=password or self.password)

    def tls_options(self, host: str) -> dict[str, Any] | bool:
        """py-amqp's options to check the certificate of a host; False without TLS."""
        if not self.tls:
            return False
        return {
            "cert_reqs": ssl.CERT_REQUIRED,
            "server_hostname": self.options.get("server_name_indication", host),
            "ca_certs": self.options.get("cacertfile"),
            "certfile": self.options.get("certfile"),
            "keyfile": self.options.get("keyfile"),
        }


def parse(raw: str) -> BrokerAddress:
    """Read a host, host:port, a list of them, or an amqp:// or amqps:// URL.

    User and password are guest unless given; `amqp://host` and `amqp://host/` mean the virtual
    host "/". Raises ValueError, also for an unsupported parameter and an unusable TLS file; its
    text is the rest of a sentence and contains no password.
    """
    try:
        url = urlsplit(raw if "://" in raw else f"amqp://{raw}")
    except ValueError:
        raise ValueError(FORM) from None
    if url.scheme not in _PORTS or url.fragment or not raw.isprintable() or " " in raw:
        raise ValueError(FORM)
    login, _, hosts = url.netloc.rpartition("@")
    user, _, password = login.partition(":")
    address = BrokerAddress(
        tuple(_host(each, _PORTS[url.scheme]) for each in hosts.split(",")),
        unquote(user) or GUEST,
        unquote(password) or GUEST,
        unquote(url.path[1:]) or "/",
        url.scheme == "amqps",
        _options(url.query),
    )
    _check(address)
    return address


def host_and_port(host: tuple[str, int]) -> str:
    """A host and its port as a URL has them."""
    name, port = host
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def _host(text: str, port: int) -> tuple[str, int]:
    found = _HOST.fullmatch(text)
    if not found:
        raise ValueError(FORM)
    port = int(found["port"] or port)
    if not 0 < port < 65536:
        raise ValueError(FORM)
    return found["name"].strip("[]"), port


def _options(query: str) -> dict[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True)
    options = dict(pairs)
    for name in options:
        if name not in KNOWN:
            raise ValueError(
                f"has the parameter {name!r}, which is not supported; those that are: "
                f"{', '.join(KNOWN)}"
            )
    if len(options) < len(pairs) or "" in options.values():
        raise ValueError("has a parameter twice, or one without a value")
    return options


def _check(address: BrokerAddress) -> None:
    options = address.options
    found = [name for name in _TLS_OPTIONS if name in options]
    if found and not address.tls:
        raise ValueError(f"has the parameter {found[0]!r}, which needs amqps:// instead of amqp://")
    if options.get("verify", "verify_peer") != "verify_peer":
        raise ValueError(
            "must not switch off the check of certificates: leave out verify, and name the "
            "authority in cacertfile"
        )
    if options.get("server_name_indication") == "disable":
        raise ValueError("must name a server in server_name_indication: names are always checked")
    timeout = options.get(_TIMEOUT, "100")
    if not (timeout.isascii() and timeout.isdigit() and int(timeout) in _TIMEOUTS_MS):
        raise ValueError(
            f"must have a {_TIMEOUT} from {_TIMEOUTS_MS[0]} to {_TIMEOUTS_MS[-1]} milliseconds"
        )
    if ("certfile" in options) != ("keyfile" in options):
        raise ValueError("must name both certfile and keyfile, or none of them")
    if address.tls:
        _check_tls_files(options)


def _check_tls_files(options: Mapping[str, str]) -> None:
    """Load what py-amqp will load at each connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if "cacertfile" in options:
            context.load_verify_locations(options["cacertfile"])
    except OSError:
        path = options["cacertfile"]
        raise ValueError(f"names a cacertfile that has no readable certificate: {path}") from None
    try:
        if "certfile" in options:  # without a password OpenSSL would ask a terminal for one
            context.load_cert_chain(options["certfile"], options["keyfile"], lambda: "")
    except OSError:
        raise ValueError(
            "names a certfile and a keyfile that cannot be used together: "
            f"{options['certfile']}, {options['keyfile']}"
        ) from None
