"""Sends one POST to a URL that a third party has chosen, safe against SSRF.

The name is resolved once, all its addresses are checked, and the connection is made to one of
them, so a second DNS response has no effect. Redirects are not followed, TLS is verified for the
name, and no proxy is used. The request runs in its own thread; at the timeout its socket is shut
down, so that slow resolution, handshakes and responses end as well.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from pizza.domain.webhooks import HTTPS, WebhookUrl, is_public

_CONNECT_S = 5.0
_TICK_S = 0.1
# Of a response that is not a success, for the delivery log.
_EXCERPT_BYTES, _EXCERPT_TIMEOUT_S = 1024, 2.0
_MAX_ADDRESSES = 4


class DeliveryError(Exception):
    """No response was received; the text is the reason. timed_out: none within the timeout."""

    def __init__(self, reason: str, *, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.timed_out = timed_out


class BlockedAddress(DeliveryError):
    """The name resolves to an address that must not be connected to."""


@dataclass(frozen=True, slots=True)
class TargetResponse:
    """An HTTP response. retry_after: in seconds; text: an excerpt of the body, unless it is 2xx."""

    status: int
    retry_after: float | None = None
    text: str = ""


def resolve(host: str, port: int, seconds: float) -> list[str]:
    """The IP addresses of a name, in the system's order. Raises DeliveryError.

    Returns within `seconds`.
    """
    found: list[str] = []
    problem: list[str] = []

    def run() -> None:
        try:
            found.extend(_resolve(host, port))
        except DeliveryError as error:
            problem.append(str(error))

    # The system's resolver cannot be interrupted, so its thread is abandoned.
    thread = threading.Thread(target=run, name="resolve", daemon=True)
    thread.start()
    thread.join(seconds)
    if problem or not found:
        timed_out = thread.is_alive()
        reason = f"{host} was not looked up in time" if timed_out else "".join(problem)
        raise DeliveryError(reason, timed_out=timed_out)
    return list(found)


def check_public(host: str, addresses: list[str]) -> None:
    """Raise BlockedAddress unless all addresses of a host are public."""
    for address in addresses:
        if not is_public(address):
            same = address == host
            named = address if same else f"{host} leads to {address}, which"
            raise BlockedAddress(f"{named} is not a public address")


def send_post(
    target: WebhookUrl,
    body: bytes,
    headers: Mapping[str, str],
    *,
    allow_private: bool,
    seconds: float,
    check: Callable[[], None] = lambda: None,
) -> TargetResponse:
    """Send `body`; returns the response. Raises DeliveryError, and what `check` raises.

    Returns within `seconds`. allow_private: also send to addresses that are not public. check:
    called ten times a second.
    """
    call = _Call(target, body, headers, allow_private, seconds)
    deadline = time.monotonic() + seconds
    threading.Thread(target=call.run, name="webhook call", daemon=True).start()
    try:
        while not call.ended.wait(_TICK_S):
            if time.monotonic() >= deadline:
                break
            check()
        # Read before the abort: a truncated header would pass for a complete one.
        response, failure = call.response, call.failure
    finally:
        call.abort()
    if response is not None:
        return response
    if failure is not None and time.monotonic() < deadline:
        raise failure
    raise DeliveryError(f"no answer within {seconds:g} s", timed_out=True)


class _Call:
    """One POST; `run` is executed in its own thread."""

    def __init__(
        self,
        target: WebhookUrl,
        body: bytes,
        headers: Mapping[str, str],
        allow_private: bool,
        seconds: float,
    ) -> None:
        self.ended = threading.Event()
        self.response: TargetResponse | None = None
        self.failure: DeliveryError | None = None
        self._target = target
        self._body = body
        self._headers = {"Host": target.authority, **headers}
        self._allow_private = allow_private
        self._seconds = seconds
        self._lock = threading.Lock()
        self._aborted = False
        self._watched: list[socket.socket] = []

    def run(self) -> None:
        """Send the request; sets `response` or `failure`."""
        try:
            self._send()
        except DeliveryError as failure:
            self.failure = failure
        except Exception as error:  # the libraries raise many kinds for invalid responses
            reason = f"{type(error).__name__}: {error}"[:300]
            self.failure = DeliveryError(reason, timed_out=_is_timeout(error))
        finally:
            self.ended.set()
            self.abort()

    def abort(self) -> None:
        """Shut down the connection in any state, and prevent new ones."""
        with self._lock:
            self._aborted = True
            for sock in self._watched:
                with suppress(OSError):  # not connected, or closed
                    sock.shutdown(socket.SHUT_RDWR)
                sock.close()
            self._watched.clear()

    def watch(self, sock: socket.socket) -> None:
        """Register a connected socket for `abort`; a duplicate, since TLS wraps the original."""
        with self._lock:
            if self._aborted:
                sock.close()
                raise DeliveryError("the time was up", timed_out=True)
            self._watched.append(sock.dup())

    def _send(self) -> None:
        target = self._target
        found = [target.address] if target.address else _resolve(target.host, target.port)
        if not self._allow_private:
            check_public(target.host, found)
        for address in found[:_MAX_ADDRESSES]:
            try:
                connection = self._connect(address)
                break
            except (OSError, HTTPError) as error:
                self.failure = DeliveryError(_reason(error), timed_out=_is_timeout(error))
        else:
            raise self.failure or DeliveryError(f"{target.host} has no address")
        self.failure = None
        self._exchange(connection)

    def _connect(self, address: str) -> HTTPConnection:
        """Connect, and verify the name by TLS. Raises OSError, HTTPError."""
        target, more = self._target, {"timeout": min(_CONNECT_S, self._seconds)}
        connection: HTTPConnection
        if target.scheme == HTTPS:
            connection = _PinnedTlsConnection(
                address,
                target.port,
                call=self,
                server_hostname=target.host,
                assert_hostname=target.host,
                cert_reqs="CERT_REQUIRED",
                **more,
            )
        else:
            connection = _PinnedConnection(address, target.port, call=self, **more)
        connection.connect()
        return connection

    def _exchange(self, connection: HTTPConnection) -> None:
        try:
            sock = connection.sock
            assert sock is not None
            sock.settimeout(self._seconds)
            raw = {"preload_content": False, "decode_content": False}
            connection.request("POST", self._target.path, self._body, self._headers, **raw)
            found = connection.getresponse()
            wait = parse_retry_after(found.headers.get("Retry-After"))
            self.response = TargetResponse(found.status, wait)
            if not 200 <= found.status < 300:
                sock.settimeout(_EXCERPT_TIMEOUT_S)
                self.response = TargetResponse(found.status, wait, _read_excerpt(found))
        finally:
            connection.close()


class _PinnedConnection(HTTPConnection):
    """A connection to an IP address, whose socket its call watches."""

    def __init__(self, *args: Any, call: _Call, **more: Any) -> None:
        super().__init__(*args, **more)
        self._call = call

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        self._call.watch(sock)
        return sock


class _PinnedTlsConnection(HTTPSConnection):
    """The same with TLS; the certificate is verified for the name."""

    def __init__(self, *args: Any, call: _Call, **more: Any) -> None:
        super().__init__(*args, **more)
        self._call = call

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        self._call.watch(sock)
        return sock


def _resolve(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise DeliveryError(f"{host} cannot be looked up: {_reason(error)}") from None
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def parse_retry_after(header: str | None) -> float | None:
    """The seconds of a Retry-After header, given as a number or a date; None for other texts."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:10])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _read_excerpt(response: BaseHTTPResponse) -> str:
    try:
        found = response.read(_EXCERPT_BYTES, decode_content=False)
    except Exception:  # the status suffices
        return ""
    return " ".join(found.decode("utf-8", "replace").split())


def _is_timeout(error: BaseException) -> bool:
    return isinstance(_cause(error), TimeoutError)


def _cause(error: BaseException) -> BaseException:
    """The error of the system, which urllib3 wraps (refused connections as a kind of timeout)."""
    return error.__cause__ or error


def _reason(error: BaseException) -> str:
    cause = _cause(error)
    return str(getattr(cause, "strerror", None) or cause or type(cause).__name__)[:200]
