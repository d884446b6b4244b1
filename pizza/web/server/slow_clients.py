"""Bounds for clients that send slowly, or nothing at all.

A request's body is read in a thread that waits as long as its client likes, and granian has no
limit for that. So each read is known here. A body has a deadline, one client may have a few bodies
that wait, all clients together a part of the threads, and a thread of its own ends what is beyond:
the connection is shut down for reading, the read returns, and the client is answered 408.
(Heads, and connections on which nothing comes, have granian's own deadline.)
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pizza.config.parsers import Network, is_loopback
from pizza.web.http.problems import Problem
from pizza.web.security.credentials import has_shown_key
from pizza.web.security.forwarded import parse_address
from pizza.web.security.proxies import client_of
from pizza.web.server import connections
from pizza.web.server.connections import Connection, normalized

log = logging.getLogger(__name__)

# From the first read of a body to its last byte.
BODY_SECONDS = 10.0
# A body counts as waiting after so long; one that is on its way does not take longer.
WAITING_SECONDS = 0.25
WAITING_PER_CLIENT = 16
WAITING_IN_ALL = 64
# Connections of one address, beyond which those on which nothing has come are closed. Looked at
# only in a process with more descriptors than that.
CONNECTIONS_PER_ADDRESS = 500
_MANY_DESCRIPTORS = 800
_TICK_SECONDS = 0.25
# A body that is not found by what has come and gone on its client's connections.
_LOST_SECONDS = 3.0
# Its read began so near to the last answer on its connection.
_NEAR_SECONDS = 0.5

Environ = dict[str, Any]
Wsgi = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

TIMEOUT = Problem(
    408, f"The body has not come within {BODY_SECONDS:.0f} seconds.",
    headers=(("Connection", "close"),),
)  # fmt: skip
TOO_MANY = Problem(
    429, "Too many requests from here wait for their bodies.",
    headers=(("Retry-After", "10"), ("Connection", "close")),
)  # fmt: skip


@dataclass(eq=False, slots=True)
class BodyRead:
    """A body that is being read. client: None for one that is not limited."""

    address: str
    client: str | None
    since: float = field(default_factory=time.monotonic)
    is_ended: bool = False


class SlowClients:
    """The body reads of one HTTP worker. Thread-safe."""

    def __init__(
        self,
        trusted: Iterable[Network] = (),
        look: Callable[[], Sequence[Connection]] = connections.accepted,
    ) -> None:
        """trusted: proxies, whose connections are of many clients; look: gives those there are."""
        self._trusted = tuple(trusted)
        self._look = look
        self._lock = threading.Lock()
        self._reads: set[BodyRead] = set()

    def wrap(self, app: Wsgi) -> Wsgi:
        """Wrap a WSGI application: its reads of `wsgi.input` are bounded.

        They raise Problem 408, and 429 for a client with too many bodies that wait.
        """

        def bounded(environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
            environ["wsgi.input"] = _Body(environ["wsgi.input"], environ, self)
            return app(environ, start_response)

        return bounded

    def begin(self, environ: Environ) -> BodyRead:
        """A read begins. Raises Problem 429."""
        # Staff with a key is not limited: it may have the same address as somebody who attacks.
        client = None if has_shown_key(environ) else client_of(environ)
        read = BodyRead(normalized(environ.get("REMOTE_ADDR", "")), client)
        with self._lock:
            if client is not None:
                before = read.since - WAITING_SECONDS
                waiting = sum(1 for e in self._reads if e.client == client and e.since < before)
                if waiting >= WAITING_PER_CLIENT:
                    raise TOO_MANY
            self._reads.add(read)
        return read

    def end(self, read: BodyRead) -> None:
        """It has returned. Raises Problem 408 if it was ended, or has taken too long."""
        with self._lock:
            self._reads.discard(read)
        if read.is_ended or time.monotonic() - read.since > BODY_SECONDS:
            raise TIMEOUT

    def start(self) -> None:
        """Watch from a daemon thread, for as long as the process runs."""
        threading.Thread(target=self._watch, name="slow-clients", daemon=True).start()

    def _watch(self) -> None:
        while True:
            time.sleep(_TICK_SECONDS)
            try:
                self.look()
            except Exception as error:  # must go on watching
                log.error("Slow clients cannot be ended", exc_info=error,
                          extra={"action": "slow_clients_failed"})  # fmt: skip

    def look(self) -> None:
        """End what is beyond the bounds, once."""
        beyond = self._beyond()
        crowded = connections.count_descriptors() > _MANY_DESCRIPTORS
        if not beyond and not crowded:
            return
        found: dict[str, list[Connection]] = defaultdict(list)
        for each in self._look():
            found[each.address].append(each)
        for address in {read.address for read in beyond}:
            self._end_reads([e for e in beyond if e.address == address], found[address])
        for address, links in found.items() if crowded else ():
            self._end_silent(address, links)

    def _beyond(self) -> list[BodyRead]:
        """The reads to be ended: too old ones, and the oldest of the clients with the most."""
        now = time.monotonic()
        with self._lock:
            waiting = [each for each in self._reads if each.since < now - WAITING_SECONDS]
        waiting.sort(key=lambda each: each.since)
        beyond = [each for each in waiting if now - each.since > BODY_SECONDS]
        rest = [each for each in waiting if now - each.since <= BODY_SECONDS]
        per_client = Counter(each.client for each in rest if each.client is not None)
        total = len(rest)
        for each in rest:
            if each.client is None:
                continue
            own, most = per_client[each.client], max(per_client.values())
            if own > WAITING_PER_CLIENT or (total > WAITING_IN_ALL and own == most):
                per_client[each.client] -= 1
                total -= 1
                beyond.append(each)
        return beyond

    def _end_reads(self, reads: list[BodyRead], links: list[Connection]) -> None:
        """End reads of one address: those of its connections that have waited longest."""
        age = time.monotonic() - min(read.since for read in reads)
        if age > BODY_SECONDS + _LOST_SECONDS:
            # Its client has sent the body together with a request before, whose answer hides it.
            near = [each for each in links if abs(each.answered - age) < _NEAR_SECONDS]
            chosen = near if near or self._is_shared(reads[0].address) else links
        else:
            pending = (each for each in links if each.is_pending)
            chosen = sorted(pending, key=lambda each: -each.answered)[: len(reads)]
        for read in reads[: len(chosen)]:
            read.is_ended = True
        for link in chosen:
            link.end()

    def _end_silent(self, address: str, links: list[Connection]) -> None:
        beyond = len(links) - CONNECTIONS_PER_ADDRESS
        if beyond <= 0 or self._is_shared(address):
            return
        silent = sorted((e for e in links if e.is_silent), key=lambda e: -e.answered)
        for link in silent[:beyond]:
            link.end(socket.SHUT_RDWR)

    def _is_shared(self, address: str) -> bool:
        """Whether connections from there are of many clients: this machine, a trusted proxy."""
        found = parse_address(address)
        return is_loopback(address) or (
            found is not None and any(found in network for network in self._trusted)
        )


class _Body:
    """A request's `wsgi.input`; each read of it is bounded."""

    def __init__(self, source: Any, environ: Environ, slow: SlowClients) -> None:
        self._source, self._environ, self._slow = source, environ, slow

    def read(self, size: int = -1) -> bytes:
        return self._bounded(self._source.read, size)

    def readline(self, size: int = -1) -> bytes:
        return self._bounded(self._source.readline, size)

    def readlines(self, hint: int = -1) -> list[bytes]:
        return list(self)

    def __iter__(self) -> Any:
        return iter(self.readline, b"")

    def _bounded(self, read: Callable[[int], bytes], size: int) -> bytes:
        begun = self._slow.begin(self._environ)
        try:
            return read(size)
        finally:
            self._slow.end(begun)
