"""Finds the client, scheme and host of a request behind proxies.

Only the headers of proxies in `--trusted-proxies` count. Their scheme, host, port and prefix are
written to the WSGI environment, as Werkzeug's ProxyFix does.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from pizza.config.parsers import Network
from pizza.taskqueue.logs import log_action
from pizza.web.security.forwarded import CLIENT_HEADERS, Address, Forwarding, parse_address
from pizza.web.wsgi import Environ, StartResponse, Wsgi

log = logging.getLogger(__name__)

_NOT_TRUSTED = (
    "Requests from {0} name another client, but {0} is not among --trusted-proxies: all of them "
    "count as one limited client"
)
_NO_CLIENT = (
    "The trusted proxy at {0} forwards a request and names no client that can be read: all such "
    "requests count as one limited client. Have it set X-Forwarded-For"
)

_CLIENT = "pizza.client"
_ADDRESS = "pizza.address"
_HOST_UNKNOWN = "pizza.host_unknown"


def client_of(environ: Mapping[str, Any]) -> str | None:
    """The client to which limits apply: an address, for IPv6 its /64 network.

    None for this machine. If a trusted proxy names no client that can be parsed, or a proxy on this
    machine is missing in --trusted-proxies, the proxy is the client.
    """
    if _CLIENT in environ:
        return str(environ[_CLIENT])
    address = parse_address(environ.get("REMOTE_ADDR", ""))
    # A request over a Unix socket has no address.
    if address is None:
        return None
    if address.is_loopback and not _names_client(environ):
        return None
    return _limited_client(address)


@lru_cache(maxsize=4096)
def network_of(client: str) -> str:
    """The network of a client of `client_of`: IPv4 /24, IPv6 /48."""
    address = ipaddress.ip_network(client).network_address
    return str(ipaddress.ip_network((address, 24 if address.version == 4 else 48), strict=False))


def address_of(environ: Mapping[str, Any]) -> str:
    """The full address of the client, for logs: from a trusted proxy, or that of the peer."""
    return str(environ.get(_ADDRESS) or environ.get("REMOTE_ADDR") or "unknown")


def is_forwarded(environ: Mapping[str, Any]) -> bool:
    """Whether a trusted proxy has forwarded a request."""
    return _CLIENT in environ


def host_is_unknown(environ: Mapping[str, Any]) -> bool:
    """Whether a trusted proxy has replaced Host with an internal name, and names no other host.

    That is nginx's default: Host is the name in `proxy_pass`.
    """
    return bool(environ.get(_HOST_UNKNOWN))


def behind_proxies(app: Wsgi, trusted: Iterable[Network]) -> Wsgi:
    """Wrap a WSGI application: it receives each request as the first trusted proxy received it."""
    networks = tuple(trusted)
    logged: set[str] = set()

    def is_trusted(address: Address) -> bool:
        return any(address in network for network in networks)

    def warn_once(action: str, text: str, remote: Address) -> None:
        if action not in logged:
            logged.add(action)
            log_action(log.warning, action, text.format(remote), {"proxy": str(remote)})

    def forwarded(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        remote = parse_address(environ.get("REMOTE_ADDR", ""))
        if remote is not None and is_trusted(remote):
            if not _apply_forwarding(environ, remote, is_trusted):
                warn_once("proxy_names_no_client", _NO_CLIENT, remote)
        elif remote is not None and remote.is_private and _names_client(environ):
            warn_once("proxy_not_trusted", _NOT_TRUSTED, remote)
        return app(environ, start_response)

    return forwarded


def _apply_forwarding(
    environ: Environ, remote: Address, is_trusted: Callable[[Address], bool]
) -> bool:
    """Write what the proxy at `remote` says about a request into its environment.

    Returns whether the proxy names a client that can be parsed.
    """
    forwarding = Forwarding(environ)
    found = [_find_client(remote, chain, is_trusted) for chain in forwarding.chains]
    client, proxies = found[0] if found else (remote, 1)
    if any(other != client for other, _ in found):
        # A proxy writes one of the two headers and forwards the other, which its client wrote.
        client = remote
    environ[_CLIENT], environ[_ADDRESS] = _limited_client(client), str(client)
    if scheme := forwarding.scheme(proxies):
        environ["wsgi.url_scheme"] = scheme
    host, port = forwarding.host(proxies), forwarding.port(proxies)
    inner = str(environ.get("HTTP_HOST", ""))
    if host is None and _is_internal(inner):
        environ[_HOST_UNKNOWN] = True
    elif host or inner:
        environ["HTTP_HOST"] = _with_port(host or inner, port, environ["wsgi.url_scheme"])
    if prefix := forwarding.prefix(proxies):
        environ["SCRIPT_NAME"] = prefix
    return bool(forwarding.chains) and all(
        chain and chain[0] is not None for chain in forwarding.chains
    )


def _find_client(
    remote: Address, chain: Iterable[Address | None], is_trusted: Callable[[Address], bool]
) -> tuple[Address, int]:
    """The client of the first trusted proxy, and the number of trusted proxies.

    Reads the chain from the nearest proxy to the first address that is not a trusted proxy: the
    client may have written the rest itself. An address that cannot be parsed ends the chain.
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


def _names_client(environ: Mapping[str, Any]) -> bool:
    return not environ.keys().isdisjoint(CLIENT_HEADERS)


def _limited_client(address: Address) -> str:
    if address.version == 6:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def _is_internal(host: str) -> bool:
    """Whether a Host header names an address or a single label, such as `localhost:3000`."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    return "." not in name or parse_address(name) is not None


def _with_port(host: str, port: str | None, scheme: str) -> str:
    """The host with its port; a port in the host takes precedence."""
    usual = "443" if scheme == "https" else "80"
    has_port = not host.endswith("]") and ":" in host
    return host if has_port or port in (None, usual) else f"{host}:{port}"
