"""One POST to an address that somebody else has chosen; the only place that makes one.

The name is looked up once, every address it has is judged, and the connection is made to that
very address, so that a name which answers differently the next time leads nowhere. Redirects are
not followed, TLS is verified for the name, no proxy is asked, and nothing lasts longer than the
caller allows: the work is done in a thread whose socket is shut when the time is up, whether it
looks a name up, shakes hands, or is fed a byte now and then.
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

from pizza.domain.webhook_urls import HTTPS, WebhookUrl, is_public

_CONNECT_S = 5.0
_TICK_S = 0.1
# Of an answer that is no success, for whoever looks for the reason.
_MOST_READ, _READ_S = 1024, 2.0
_MOST_ADDRESSES = 4


class CallFailed(Exception):
    """There was no answer; the text says why. late: there was none in time."""

    def __init__(self, reason: str, *, late: bool = False) -> None:
        super().__init__(reason)
        self.late = late


class TargetRefused(CallFailed):
    """The name leads to an address that must not be called."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. retry_after: seconds it asks for; text: its first words, if it is no 2xx."""

    status: int
    retry_after: float | None = None
    text: str = ""


def resolve(host: str, port: int, seconds: float) -> list[str]:
    """The IP addresses of a name, in the system's order. Raises CallFailed, within `seconds`."""
    found: list[str] = []
    problem: list[str] = []

    def look() -> None:
        try:
            found.extend(_look_up(host, port))
        except CallFailed as error:
            problem.append(str(error))

    # The system's resolver cannot be interrupted, so it is left behind.
    thread = threading.Thread(target=look, name="look-up", daemon=True)
    thread.start()
    thread.join(seconds)
    if problem or not found:
        late = thread.is_alive()
        reason = f"{host} was not looked up in time" if late else "".join(problem)
        raise CallFailed(reason, late=late)
    return list(found)


def refuse_private(host: str, addresses: list[str]) -> None:
    """Raise TargetRefused unless all addresses of a name are public."""
    for address in addresses:
        if not is_public(address):
            same = address == host
            named = address if same else f"{host} leads to {address}, which"
            raise TargetRefused(f"{named} is not a public address")


def post(
    target: WebhookUrl,
    body: bytes,
    headers: Mapping[str, str],
    *,
    private: bool,
    seconds: float,
    check: Callable[[], None] = lambda: None,
) -> Answer:
    """Send `body`; gives the answer. Raises CallFailed within `seconds`, and what `check` raises.

    private: also to addresses that are not public. check: called every now and then.
    """
    call = _Call(target, body, headers, private, seconds)
    until = time.monotonic() + seconds
    threading.Thread(target=call.run, name="webhook call", daemon=True).start()
    try:
        while not call.over.wait(_TICK_S):
            if time.monotonic() >= until:
                break
            check()
        # Before it is cut: a head that breaks off there would pass for a whole one.
        answer, failure = call.answer, call.failure
    finally:
        call.cut()
    if answer is not None:
        return answer
    if failure is not None and time.monotonic() < until:
        raise failure
    raise CallFailed(f"no answer within {seconds:g} s", late=True)


class _Call:
    """The work of one POST, in a thread of its own."""

    def __init__(
        self,
        target: WebhookUrl,
        body: bytes,
        headers: Mapping[str, str],
        private: bool,
        seconds: float,
    ) -> None:
        self.over = threading.Event()
        self.answer: Answer | None = None
        self.failure: CallFailed | None = None
        self._target = target
        self._body = body
        self._headers = {"Host": target.authority, **headers}
        self._private = private
        self._seconds = seconds
        self._guarding = threading.Lock()
        self._cut = False
        self._guards: list[socket.socket] = []

    def run(self) -> None:
        """Do it; what comes of it is in `answer` or `failure`."""
        try:
            self._send()
        except CallFailed as failure:
            self.failure = failure
        except Exception as error:  # whatever a stranger's bytes can provoke in the libraries
            reason = f"{type(error).__name__}: {error}"[:300]
            self.failure = CallFailed(reason, late=_late(error))
        finally:
            self.over.set()
            self.cut()

    def cut(self) -> None:
        """Shut the connection, in whatever state it is, and let none be made any more."""
        with self._guarding:
            self._cut = True
            for guard in self._guards:
                with suppress(OSError):  # it was never connected, or is closed
                    guard.shutdown(socket.SHUT_RDWR)
                guard.close()
            self._guards.clear()

    def guard(self, sock: socket.socket) -> None:
        """Have a connected socket shut by `cut`, also when it was wrapped meanwhile."""
        with self._guarding:
            if self._cut:
                sock.close()
                raise CallFailed("the time was up", late=True)
            self._guards.append(sock.dup())

    def _send(self) -> None:
        target = self._target
        found = [target.address] if target.address else _look_up(target.host, target.port)
        if not self._private:
            refuse_private(target.host, found)
        for address in found[:_MOST_ADDRESSES]:
            try:
                connection = self._connect(address)
                break
            except (OSError, HTTPError) as error:
                self.failure = CallFailed(_reason(error), late=_late(error))
        else:
            raise self.failure or CallFailed(f"{target.host} has no address")
        self.failure = None
        self._speak(connection)

    def _connect(self, address: str) -> HTTPConnection:
        """Connect, and prove the name by TLS. Raises OSError, HTTPError."""
        target, more = self._target, {"timeout": min(_CONNECT_S, self._seconds)}
        connection: HTTPConnection
        if target.scheme == HTTPS:
            connection = _SecurePinned(
                address, target.port, call=self, server_hostname=target.host,
                assert_hostname=target.host, cert_reqs="CERT_REQUIRED", **more,
            )  # fmt: skip
        else:
            connection = _Pinned(address, target.port, call=self, **more)
        connection.connect()
        return connection

    def _speak(self, connection: HTTPConnection) -> None:
        try:
            sock = connection.sock
            assert sock is not None
            sock.settimeout(self._seconds)
            connection.request(
                "POST", self._target.path, self._body, self._headers,
                preload_content=False, decode_content=False,
            )  # fmt: skip
            response = connection.getresponse()
            wait = retry_after(response.headers.get("Retry-After"))
            self.answer = Answer(response.status, wait)
            if not 200 <= response.status < 300:
                sock.settimeout(_READ_S)
                self.answer = Answer(response.status, wait, _first_words(response))
        finally:
            connection.close()


class _Pinned(HTTPConnection):
    """A connection to an IP address, that its call can shut."""

    def __init__(self, *args: Any, call: _Call, **more: Any) -> None:
        super().__init__(*args, **more)
        self._call = call

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        self._call.guard(sock)
        return sock


class _SecurePinned(HTTPSConnection):
    """The same, with TLS for the name that was looked up."""

    def __init__(self, *args: Any, call: _Call, **more: Any) -> None:
        super().__init__(*args, **more)
        self._call = call

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        self._call.guard(sock)
        return sock


def _look_up(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise CallFailed(f"{host} cannot be looked up: {_reason(error)}") from None
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def retry_after(header: str | None) -> float | None:
    """The seconds that a Retry-After asks for, as a number or a date; None for anything else."""
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


def _first_words(response: BaseHTTPResponse) -> str:
    try:
        found = response.read(_MOST_READ, decode_content=False)
    except Exception:  # the status is known, which is what counts
        return ""
    return " ".join(found.decode("utf-8", "replace").split())


def _late(error: BaseException) -> bool:
    return isinstance(_first(error), TimeoutError)


def _first(error: BaseException) -> BaseException:
    """What the system has said, which urllib3 wraps (a refusal, too, as a kind of time-out)."""
    return error.__cause__ or error


def _reason(error: BaseException) -> str:
    first = _first(error)
    return str(getattr(first, "strerror", None) or first or type(first).__name__)[:200]
