"""Limits for clients that send their bodies slowly or not at all.

The thread of a request waits for its body, and granian has no limit for that. So all reads are
tracked here. A body has a deadline; the number of waiting bodies is limited for each client and in
all. A watching thread shuts down the connections over a limit for reading, so that the read returns
and the client receives 408. (Granian has a deadline for the head of a request, and for connections
without a request.)
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from pizza.config.parsers import Network, is_loopback
from pizza.taskqueue.logs import log_action
from pizza.web.http.problems import Problem
from pizza.web.security.credentials import has_shown_key
from pizza.web.security.forwarded import parse_address
from pizza.web.security.proxies import client_of
from pizza.web.server import sockets
from pizza.web.server.sockets import Connection, normalized
from pizza.web.wsgi import Environ, StartResponse, WatchedInput, Wsgi

log = logging.getLogger(__name__)

# From the first read of a body to its last byte.
BODY_SECONDS = 10.0
# A body counts as waiting after this; one that the client is sending is faster.
WAITING_SECONDS = 0.25
WAITING_PER_CLIENT = 16
WAITING_IN_ALL = 64
# Above so many connections of one address silent ones are closed. Checked only in a process with
# more than _MANY_DESCRIPTORS.
CONNECTIONS_PER_ADDRESS = 500
_MANY_DESCRIPTORS = 800
_TICK_SECONDS = 0.25
# After this the connection of a body is chosen in another way.
_LOST_SECONDS = 3.0
# The read began within this time of the last response on its connection.
_NEAR_SECONDS = 0.5
_CLOSE = ("Connection", "close")


@dataclass(eq=False, slots=True)
class BodyRead:
    """A read of a body in progress. client: None for one that is not limited."""

    address: str
    client: str | None
    since: float = field(default_factory=time.monotonic)
    is_ended: bool = False


class SlowClients:
    """Tracks and limits the body reads of one HTTP worker. Thread-safe."""

    def __init__(
        self,
        trusted: Iterable[Network] = (),
        list_connections: Callable[[], Sequence[Connection]] = sockets.accepted,
    ) -> None:
        """trusted: networks of proxies, whose connections are shared by many clients."""
        self._trusted = tuple(trusted)
        self._list_connections = list_connections
        self._lock = threading.Lock()
        self._reads: set[BodyRead] = set()

    def wrap(self, app: Wsgi) -> Wsgi:
        """Wrap a WSGI application: its reads of `wsgi.input` are limited.

        They raise Problem 408, and 429 for a client with too many waiting bodies.
        """

        def limited(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
            watch = partial(self._reading_body, environ)
            environ["wsgi.input"] = WatchedInput(environ["wsgi.input"], watch)
            return app(environ, start_response)

        return limited

    @contextmanager
    def _reading_body(self, environ: Environ) -> Iterator[None]:
        read = self.start_read(environ)
        try:
            yield
        finally:
            self.finish_read(read)

    def start_read(self, environ: Environ) -> BodyRead:
        """Record the start of a read. Raises Problem 429."""
        # Staff with a key are not limited: they may share the address of an attacker.
        client = None if has_shown_key(environ) else client_of(environ)
        read = BodyRead(normalized(environ.get("REMOTE_ADDR", "")), client)
        with self._lock:
            if client is not None:
                before = read.since - WAITING_SECONDS
                waiting = sum(1 for e in self._reads if e.client == client and e.since < before)
                if waiting >= WAITING_PER_CLIENT:
                    text = "Too many requests from this client wait for their bodies."
                    raise Problem(429, text, headers=(("Retry-After", "10"), _CLOSE))
            self._reads.add(read)
        return read

    def finish_read(self, read: BodyRead) -> None:
        """Record the end of a read. Raises Problem 408 if it was ended or took too long."""
        with self._lock:
            self._reads.discard(read)
        if read.is_ended or time.monotonic() - read.since > BODY_SECONDS:
            text = f"The body was not received within {BODY_SECONDS:.0f} seconds."
            raise Problem(408, text, headers=(_CLOSE,))

    def start(self) -> None:
        """Start the watching thread (a daemon)."""
        threading.Thread(target=self._watch, name="slow-clients", daemon=True).start()

    def _watch(self) -> None:
        while True:
            time.sleep(_TICK_SECONDS)
            try:
                self.enforce_limits()
            except Exception as error:  # must continue
                text = "Slow clients cannot be ended"
                log_action(log.error, "slow_clients_failed", text, error=error)

    def enforce_limits(self) -> None:
        """End the reads and close the connections over a limit, once."""
        excess = self._over_limit()
        crowded = len(sockets.open_descriptors()) > _MANY_DESCRIPTORS
        if not excess and not crowded:
            return
        found: dict[str, list[Connection]] = defaultdict(list)
        for each in self._list_connections():
            found[each.address].append(each)
        for address in {read.address for read in excess}:
            self._end_reads([e for e in excess if e.address == address], found[address])
        for address, links in found.items() if crowded else ():
            self._end_silent(address, links)

    def _over_limit(self) -> list[BodyRead]:
        """The reads to end: those past their deadline, and the oldest of clients with the most."""
        now = time.monotonic()
        with self._lock:
            waiting = [each for each in self._reads if each.since < now - WAITING_SECONDS]
        waiting.sort(key=lambda each: each.since)
        excess = [each for each in waiting if now - each.since > BODY_SECONDS]
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
                excess.append(each)
        return excess

    def _end_reads(self, reads: list[BodyRead], links: list[Connection]) -> None:
        """Shut down as many connections of one address, those that have waited longest."""
        age = time.monotonic() - min(read.since for read in reads)
        if age > BODY_SECONDS + _LOST_SECONDS:
            # Part of the body came with an earlier request, whose response came later.
            near = [each for each in links if abs(each.answered - age) < _NEAR_SECONDS]
            chosen = near if near or self._is_shared(reads[0].address) else links
        else:
            pending = (each for each in links if each.is_pending)
            chosen = sorted(pending, key=lambda each: -each.answered)[: len(reads)]
        for read in reads[: len(chosen)]:
            read.is_ended = True
        for link in chosen:
            link.shut_down()

    def _end_silent(self, address: str, links: list[Connection]) -> None:
        excess = len(links) - CONNECTIONS_PER_ADDRESS
        if excess <= 0 or self._is_shared(address):
            return
        silent = sorted((e for e in links if e.is_silent), key=lambda e: -e.answered)
        for link in silent[:excess]:
            link.shut_down(socket.SHUT_RDWR)

    def _is_shared(self, address: str) -> bool:
        """Whether an address is shared by many clients: this machine, or a trusted proxy."""
        found = parse_address(address)
        return is_loopback(address) or (
            found is not None and any(found in network for network in self._trusted)
        )
