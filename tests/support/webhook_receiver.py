"""A receiver of webhooks: a real HTTP server that answers as it is told, and verifies signatures.

What verifies is written anew here, from the specification: sender and receiver share no code.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOLERANCE_S = 300


@dataclass(frozen=True)
class ReceivedRequest:
    """One request, as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def verified_by(self, secret: str) -> bool:
        """Whether one of its signatures was made with this secret, lately."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        stamp = self.headers["webhook-timestamp"]
        signed = f"{self.id}.{stamp}.".encode() + self.body
        wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        given = self.headers["webhook-signature"].split(" ")
        fresh = abs(time.time() - int(stamp)) < TOLERANCE_S
        return fresh and any(hmac.compare_digest(each, f"v1,{wanted}") for each in given)


class WebhookReceiver:
    """Listens on a free port of this machine; answers 204, or what `answers` says, one by one.

    An answer is a status, (status, headers, body), or a function of the handler that answers.
    """

    def __init__(self, certificate: Path | None = None, host: str = "127.0.0.1") -> None:
        self.received: list[ReceivedRequest] = []
        self.answers: list[Any] = []
        self.always: Any = 204
        self.released = threading.Event()
        self._server = ThreadingHTTPServer((host, 0), self._handler())
        self._server.daemon_threads = True
        self.scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            self.scheme = "https"
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()

    def hang(self, _handler: BaseHTTPRequestHandler) -> None:
        """An answer: none, until the test is over."""
        self.released.wait(120)

    def drip(self, handler: BaseHTTPRequestHandler) -> None:
        """An answer: a byte of a header line now and then, without end."""
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not self.released.wait(0.1):
            handler.wfile.write(b"x")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.received.append(ReceivedRequest(self.path, headers, body, time.time()))
                answer = receiver.answers.pop(0) if receiver.answers else receiver.always
                with suppress(OSError):  # the sender has gone
                    self._answer(answer)

            def _answer(self, answer: int | tuple[Any, ...] | Callable[[Any], None]) -> None:
                if callable(answer):
                    answer(self)
                    return
                status, headers, text = answer if isinstance(answer, tuple) else (answer, {}, "")
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        return Handler
