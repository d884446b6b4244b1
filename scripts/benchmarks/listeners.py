"""A process that holds streams open and discards what it receives.

python -m benchmarks.listeners PORT PATH=COUNT…
"""

import select
import socket
import sys

OPEN = "all streams are open"


def main() -> None:
    """Open the streams, print OPEN, and read until a signal. SystemExit when one is refused."""
    port = int(sys.argv[1])
    with select.epoll() as poll:
        streams = {}
        for word in sys.argv[2:]:
            path, _, count = word.rpartition("=")
            for _ in range(int(count)):
                stream = _opened(port, path)
                streams[stream.fileno()] = stream
                poll.register(stream, select.EPOLLIN)
        print(OPEN, flush=True)
        while True:
            for fd, _ in poll.poll():
                if not streams[fd].recv(1 << 20):
                    raise SystemExit("A stream has ended.")


def _opened(port: int, path: str) -> socket.socket:
    stream = socket.create_connection(("127.0.0.1", port), 10)
    stream.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    begin = stream.recv(1000)
    if not begin.startswith(b"HTTP/1.1 200 "):
        raise SystemExit(f"A stream was refused: {begin!r}")
    return stream


if __name__ == "__main__":
    main()
