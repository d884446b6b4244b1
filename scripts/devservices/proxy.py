"""A TCP proxy between a client and a server that can misbehave as networks do."""

import select
import socket
import struct
import threading
import time
from contextlib import suppress
from random import Random

_NO_LINGER = struct.pack("ii", 1, 0)  # close() then sends a reset instead of a farewell


class Proxy:
    """Forwards every connection to `target` (host:port) until a fault is injected.

    `delay` is what each piece of data waits, in seconds.
    """

    def __init__(self, target: str) -> None:
        """Listens at once, at `address`."""
        self.delay = 0.0
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._silent = (False, False)  # what the client sends, what the server sends
        self._gate = threading.Lock()  # what is silenced under it has let its last byte through
        # How many bytes each pair may still pass; None: any number.
        self._pairs: dict[tuple[socket.socket, socket.socket], int | None] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def reset(self) -> int:
        """Cut all connections at once, in the middle of any message; returns how many."""
        with self._lock:
            pairs, self._pairs = self._pairs, {}
        for pair in pairs:
            self._cut(pair)
        return len(pairs)

    def limit_data(self, random: Random, most: int) -> None:
        """Cut each present connection after its own random number of bytes, 0 to `most`."""
        with self._lock:
            self._pairs = {pair: random.randint(0, most) for pair in self._pairs}

    def blackhole(self, *, to_server: bool = True, to_client: bool = True) -> None:
        """From now on nothing gets through, in both directions or in one; no end is notified."""
        with self._gate:
            self._silent = (to_server, to_client)

    def resume(self) -> None:
        """Let everything through again, also what was held up meanwhile."""
        self._silent = (False, False)

    def recover(self) -> None:
        """Let everything through again. What was underway meanwhile is cut, and lost."""
        self.reset()
        self.delay = 0.0
        self.resume()

    def close(self) -> None:
        """End everything."""
        self._closed = True
        self._listener.close()
        self.reset()

    @staticmethod
    def _cut(pair: tuple[socket.socket, socket.socket]) -> None:
        for end in pair:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                end.shutdown(socket.SHUT_RD)
            with suppress(OSError):
                end.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(self._target, 2)
            except OSError:
                near.close()
                continue
            for end in (near, far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._pairs[near, far] = None
            threading.Thread(target=self._pump, args=((near, far),), daemon=True).start()

    def _pump(self, pair: tuple[socket.socket, socket.socket]) -> None:
        with suppress(OSError, ValueError):
            while True:
                sides = zip(pair, self._silent, strict=True)
                open_sides = [end for end, silent in sides if not silent]
                if not open_sides:
                    if pair[0].fileno() < 0:
                        break
                    time.sleep(0.02)
                    continue
                ready, _, _ = select.select(open_sides, [], [], 0.2)
                for end in ready:
                    self._forward(pair, pair.index(end))
        with self._lock:
            self._pairs.pop(pair, None)
        self._cut(pair)

    def _forward(self, pair: tuple[socket.socket, socket.socket], side: int) -> None:
        """Forward data of one side; OSError at its end, or at the limit of `limit_data`."""
        with self._gate:
            if self._silent[side]:
                return
            data = pair[side].recv(65536)
        if not data:
            raise OSError
        if self.delay:
            time.sleep(self.delay)
        left = self._pairs.get(pair)
        pair[1 - side].sendall(data[:left])
        if left is not None:
            if left <= len(data):
                raise OSError
            self._pairs[pair] = left - len(data)
