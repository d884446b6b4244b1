"""Webhooks: types of events, payloads and signatures (Standard Webhooks 1.0.0), and their URLs.

A host name may resolve to any address, so the client that connects checks the address itself with
`is_public`.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from pizza.domain.status import STATUSES

TEST = "webhook.test"
UPDATED = "order.updated"
# A change of status has a type for each status; UPDATED is any other change of an order.
TYPES = (*(f"order.{status.replace('-', '_')}" for status in STATUSES), UPDATED)

SECRET_BYTES = 32
_PREFIX = "whsec_"

HTTPS, HTTP = "https", "http"
SCHEMES = (HTTPS, HTTP)
URL_LENGTH = 2000

_PORTS = {HTTPS: 443, HTTP: 80}
_PRINTABLE = re.compile(r"[!-~]+")
_LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\.?$){_LABEL}(\.{_LABEL})*\.?")

# IPv6 that carries an IPv4 address for a translator or tunnel to use: the inner one counts.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Not public, whatever a version of `ipaddress` says: local NAT64, 6to4 and its relays, site-local.
_NON_PUBLIC = tuple(
    ipaddress.ip_network(each)
    for each in ("64:ff9b:1::/48", "2002::/16", "192.88.99.0/24", "fec0::/10")
)


def event_type(old: str | None, new: str) -> str:
    """The type of an event that changes an order's status from `old` to `new`."""
    return UPDATED if old == new else f"order.{new.replace('-', '_')}"


def payload(type: str, at: datetime, data: Mapping[str, Any]) -> str:
    """The body of a delivery: compact JSON in ASCII, the same in each attempt."""
    moment = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"type": type, "timestamp": moment, "data": data}, separators=(",", ":"))


def format_secret(secret: bytes) -> str:
    """A signing secret as text, for its receiver."""
    return _PREFIX + base64.b64encode(secret).decode()


def signatures(secrets: Iterable[bytes], id: str, timestamp: int, body: str) -> str:
    """The header webhook-signature: a signature with each secret, newest first.

    timestamp: of this attempt, in seconds since 1970.
    """
    signed = f"{id}.{timestamp}.{body}".encode()
    marks = (hmac.digest(secret, signed, "sha256") for secret in secrets)
    return " ".join(f"v1,{base64.b64encode(mark).decode()}" for mark in marks)


class InvalidUrl(ValueError):
    """The URL cannot be a webhook's; the text is the rest of a sentence that begins with it."""


@dataclass(frozen=True, slots=True)
class WebhookUrl:
    """A URL in parts; host without brackets, path with its query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def address(self) -> str | None:
        """The host if it is an IP address; None for a name."""
        try:
            return str(ipaddress.ip_address(self.host))
        except ValueError:
            return None


def parse_url(url: str, schemes: Sequence[str] = SCHEMES) -> WebhookUrl:
    """Parse and check a URL. Raises InvalidUrl."""
    if not 1 <= len(url) <= URL_LENGTH:
        raise InvalidUrl(f"must be 1 to {URL_LENGTH} characters long")
    if not _PRINTABLE.fullmatch(url):
        raise InvalidUrl("must be printable ASCII without spaces")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise InvalidUrl("is not a URL") from None
    if parts.scheme not in schemes:
        raise InvalidUrl(f"must begin with {' or '.join(f'{each}://' for each in schemes)}")
    if "@" in parts.netloc:
        raise InvalidUrl("must not have a user or a password")
    if "#" in url:
        raise InvalidUrl("must not have a fragment")
    if not (_NAME.fullmatch(host) or _is_address(host)) or port == 0:
        raise InvalidUrl("has no host that can be looked up")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return WebhookUrl(parts.scheme, host, port or _PORTS[parts.scheme], path)


def _is_address(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host)) and "%" not in host
    except ValueError:
        return False


def is_public(address: str) -> bool:
    """Whether an IP address is public.

    Private, loopback, link-local, shared, reserved, multicast and unspecified addresses are not,
    nor IPv6 addresses that contain one of them, nor a text that is no address.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.scope_id is not None:
            return False
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip in _NAT64:
            ip = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    if any(ip.version == net.version and ip in net for net in _NON_PUBLIC):
        return False
    return ip.is_global and not (
        ip.is_private
        or ip.is_loopback
        or ip.is_link_local
        or ip.is_multicast
        or ip.is_reserved
        or ip.is_unspecified
    )
