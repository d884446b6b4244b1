"""Parses the headers in which a proxy names the client, scheme and host of a request.

`Forwarded` (RFC 7239) and the older `X-Forwarded-…`. Whether they are trusted is decided in
pizza.web.security.proxies.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAME = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_PAIR = re.compile(rf'\s*({_NAME})=("(?:[^"\\]|\\.)*"|[^\s";,]*)\s*([;,]|$)')
_ESCAPE = re.compile(r"\\(.)")
# A Host header: the host, and perhaps a port.
HOST = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~%!$&'()*+,;=:@-]+)+")
# Each names the client of a forwarded request.
CLIENT_HEADERS = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED")


@lru_cache(maxsize=4096)
def parse_address(text: str) -> Address | None:
    """An IP address, also with a port, in brackets or in quotes; None for all else.

    Proxies also write `unknown` and made-up names such as `_hidden`.
    """
    text = text.strip().strip('"')
    if text.startswith("["):
        text, _, behind = text[1:].partition("]")
        if behind and not (behind[0] == ":" and behind[1:].isdigit()):
            return None
    elif text.count(":") == 1:  # an IPv4 address with a port
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


class Forwarding:
    """The forwarding headers of one request. Lists begin with the nearest proxy.

    chains: for each header that names clients, the addresses from which the proxies received the
    request; None for one that cannot be parsed.
    """

    def __init__(self, environ: Mapping[str, Any]) -> None:
        """environ: a WSGI request."""
        self._environ = environ
        self._elements = _parse_elements(environ.get("HTTP_FORWARDED"))
        self.chains: list[list[Address | None]] = []
        if header := environ.get("HTTP_X_FORWARDED_FOR"):
            self.chains.append([parse_address(each) for each in reversed(header.split(","))])
        if self._elements:
            self.chains.append([parse_address(each.get("for", "")) for each in self._elements])

    def scheme(self, proxies: int) -> str | None:
        """http or https, as the farthest of `proxies` proxies received the request."""
        found = (self._from_list("PROTO", proxies) or self._from_element("proto", proxies)).lower()
        return found if found in ("http", "https") else None

    def host(self, proxies: int) -> str | None:
        """The Host header that this proxy received."""
        found = self._from_list("HOST", proxies) or self._from_element("host", proxies)
        return found if HOST.fullmatch(found) else None

    def port(self, proxies: int) -> str | None:
        """The port at which this proxy listens."""
        found = self._from_list("PORT", proxies)
        return found if found.isascii() and found.isdigit() and 0 < int(found) < 65536 else None

    def prefix(self, proxies: int) -> str | None:
        """The path prefix that this proxy has removed."""
        found = self._from_list("PREFIX", proxies).rstrip("/")
        return found if _PREFIX.fullmatch(found) else None

    def _from_list(self, name: str, proxies: int) -> str:
        values = self._environ.get(f"HTTP_X_FORWARDED_{name}", "").split(",")
        return str(values[-min(proxies, len(values))]).strip()

    def _from_element(self, name: str, proxies: int) -> str:
        found = self._elements[:proxies]
        return found[-1].get(name, "") if found else ""


def _parse_elements(header: str | None) -> list[dict[str, str]]:
    """The elements of a Forwarded header, last first; an empty one if it cannot be parsed."""
    found: list[dict[str, str]] = [{}] if header else []
    position = 0
    while header and position < len(header):
        pair = _PAIR.match(header, position)
        if pair is None:
            return [{}]
        name, value, end = pair.groups()
        if value.startswith('"'):
            value = _ESCAPE.sub(r"\1", value[1:-1])
        found[-1].setdefault(name.lower(), value)
        if end == ",":
            found.append({})
        position = pair.end()
    return found[::-1]
