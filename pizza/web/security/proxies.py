"""Who sends a request, and at which address of ours, where proxies stand in between.

Only a proxy whose address is among `--trusted-proxies` is believed. What it says of scheme, host,
port and prefix is put into the WSGI environment, as Werkzeug's ProxyFix does it.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from pizza.config.parsers import Network
from pizza.web.security.forwarded import CLIENT_HEADERS, Address, Forwarding, read_address

log = logging.getLogger(__name__)

Environ = dict[str, Any]
Wsgi = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

_CLIENT = "pizza.client"
_ADDRESS = "pizza.address"
_HOST_UNKNOWN = "pizza.host_unknown"


def client_of(environ: Mapping[str, Any]) -> str | None:
    """The client whose requests are to be limited: an address, of IPv6 its /64.

    None for this machine itself. What comes through a proxy always is somebody's: where a trusted
    one does not say whose, or nothing readable, and where another one on this machine forwards
    (--trusted-proxies was forgotten), the proxy itself is the client.
    """
    if _CLIENT in environ:
        return str(environ[_CLIENT])
    address = read_address(environ.get("REMOTE_ADDR", ""))
    # What comes over no network (a socket file) has no address.
    if address is None:
        return None
    if address.is_loopback and not any(header in environ for header in CLIENT_HEADERS):
        return None
    return _client(address)


@lru_cache(maxsize=4096)
def network_of(client: str) -> str:
    """The network of a client of `client_of`, as providers hand them out: IPv4 /24, IPv6 /48."""
    address = ipaddress.ip_network(client).network_address
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))


def address_of(environ: Mapping[str, Any]) -> str:
    """The address of the client, whole, for logs: as a trusted proxy says it, or of the peer."""
    return str(environ.get(_ADDRESS) or environ.get("REMOTE_ADDR") or "unknown")


def came_by_proxy(environ: Mapping[str, Any]) -> bool:
    """Whether a trusted proxy has forwarded a request."""
    return _CLIENT in environ


def host_is_unknown(environ: Mapping[str, Any]) -> bool:
    """Whether a trusted proxy has replaced Host with a name of the inside, and says no other.

    nginx does so unless it is told otherwise: Host is what stands behind `proxy_pass`.
    """
    return bool(environ.get(_HOST_UNKNOWN))


def behind_proxies(app: Wsgi, trusted: Iterable[Network]) -> Wsgi:
    """Wrap a WSGI application: it sees each request as the first trusted proxy got it."""
    networks = tuple(trusted)

    def is_trusted(address: Address | None) -> bool:
        return address is not None and any(address in network for network in networks)

    warned: list[Address] = []
    silent: list[Address] = []

    def forwarded(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        remote = read_address(environ.get("REMOTE_ADDR", ""))
        if remote is not None and is_trusted(remote):
            if not _believe(environ, remote, is_trusted) and not silent:
                silent.append(remote)
                _warn_of_silence(remote)
        elif (
            remote is not None
            and remote.is_private
            and not warned
            and any(header in environ for header in CLIENT_HEADERS)
        ):
            warned.append(remote)
            _warn(remote)
        return app(environ, start_response)

    return forwarded


def _believe(
    environ: Environ, remote: Address, is_trusted: Callable[[Address | None], bool]
) -> bool:
    """Put what the proxy at `remote` says of a request into its environment.

    Returns whether it says for whom it forwards the request, readably.
    """
    said = Forwarding(environ)
    found = [_walk(remote, chain, is_trusted) for chain in said.chains]
    client, proxies = found[0] if found else (remote, 1)
    if any(other != client for other, _ in found):
        # A proxy writes one of the two headers and passes on the other one, which its client wrote.
        client = remote
    environ[_CLIENT], environ[_ADDRESS] = _client(client), str(client)
    if scheme := said.scheme(proxies):
        environ["wsgi.url_scheme"] = scheme
    host, port = said.host(proxies), said.port(proxies)
    inner = str(environ.get("HTTP_HOST", ""))
    if host is None and _is_inside(inner):
        environ[_HOST_UNKNOWN] = True
    elif host or inner:
        environ["HTTP_HOST"] = _with_port(host or inner, port, environ["wsgi.url_scheme"])
    if prefix := said.prefix(proxies):
        environ["SCRIPT_NAME"] = prefix
    return bool(said.chains) and all(chain and chain[0] is not None for chain in said.chains)


def _walk(
    remote: Address, chain: Iterable[Address | None], is_trusted: Callable[[Address | None], bool]
) -> tuple[Address, int]:
    """Who sent the request to the first trusted proxy, and how many of these there are.

    The chain is read from the nearest proxy to the first address that is no trusted proxy: what the
    others say, the client may have written itself. An address that cannot be read ends it.
    """
    client, proxies = remote, 1
    for address in chain:
        if address is None:
            break
        client = address
        if not is_trusted(address):
            break
        proxies += 1
    return client, proxies


def _client(address: Address) -> str:
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def _is_inside(host: str) -> bool:
    """Whether a Host header names an address or a single label, such as `localhost:3000`."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return "." not in name or read_address(name) is not None


def _with_port(host: str, port: str | None, scheme: str) -> str:
    """The host with its port; a port in the host itself wins."""
    usual = "443" if scheme == "https" else "80"
    has_port = not host.endswith("]") and ":" in host
    return host if has_port or port in (None, usual) else f"{host}:{port}"


def _warn(remote: Address) -> None:
    log.warning(
        "Requests from %s name another client, but %s is not among --trusted-proxies: all of them "
        "count as one limited client",
        remote, remote,
        extra={"action": "proxy_not_trusted", "details": {"proxy": str(remote)}},
    )  # fmt: skip


def _warn_of_silence(remote: Address) -> None:
    log.warning(
        "The trusted proxy at %s forwards a request and names no client that can be read: all such "
        "requests count as one limited client. Have it set X-Forwarded-For",
        remote,
        extra={"action": "proxy_names_no_client", "details": {"proxy": str(remote)}},
    )
