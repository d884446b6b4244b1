"""A TCP proxy between a client and a server that can misbehave as networks do."""

import select
import socket
import struct
import threading
import time
from contextlib import suppress

_NO_LINGER = struct.pack("ii", 1, 0)  # close() then sends a reset instead of a farewell


class Proxy:
    """Forwards every connection to `target` (host:port) until told otherwise.

    `delay` is what each piece of data waits, in seconds.
    """

    def __init__(self, target: str) -> None:
        """Listens at once, on a port of its own: `address`."""
        self.delay = 0.0
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._silent = threading.Event()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def reset(self) -> int:
        """Cut all connections at once, in the middle of whatever they say; answers how many."""
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            self._cut(pair)
        return len(pairs)

    def swallow(self) -> None:
        """From now on nothing gets through, either way, and nobody is told."""
        self._silent.set()

    def heal(self) -> None:
        """Let everything through again. What was underway meanwhile is cut."""
        self.reset()
        self.delay = 0.0
        self._silent.clear()

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
                self._pairs.add((near, far))
            threading.Thread(target=self._pump, args=((near, far),), daemon=True).start()

    def _pump(self, pair: tuple[socket.socket, socket.socket]) -> None:
        near, far = pair
        with suppress(OSError, ValueError):
            while True:
                if self._silent.is_set():
                    if near.fileno() < 0:
                        break
                    time.sleep(0.02)
                    continue
                ready, _, _ = select.select([near, far], [], [], 0.2)
                for end in ready:
                    data = end.recv(65536)
                    if not data:
                        raise OSError
                    if self.delay:
                        time.sleep(self.delay)
                    (far if end is near else near).sendall(data)
        with self._lock:
            self._pairs.discard(pair)
        self._cut(pair)
