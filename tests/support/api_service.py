"""An order service for the tests of the API: one process a module, bytes in and out of it."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from devservices import free_port

from .restaurant import Answer, Client, Program
from .restaurant.http_client import TIMEOUT_S


class Service(Client):
    """A running order service and its database."""

    def __init__(
        self, folder: Path, db_url: str, broker: str, *flags: str, **variables: str
    ) -> None:
        super().__init__(free_port())
        self.db_url = db_url
        self.broker_url = broker
        servers = {"DB_URL": db_url, "RABBITMQ": broker, **variables}
        all_flags = ["--mode=order-service", f"--port={self.port}", *flags]
        self.program = Program(folder, "order_service", all_flags, servers)

    def order(self, document: object, headers: Mapping[str, str] | None = None) -> Answer:
        """Place an order: a document, or a body as it is."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.request("POST", "/orders", body, headers)

    def post_bytes(self, body: bytes) -> Answer:
        """POST a body of any size; reads the answer even when not all of the body is wanted."""
        head = f"POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        return self.talk(head.encode() + body)

    def talk(self, data: bytes, *, finish: bool = False) -> Answer:
        """Send any bytes, read a response; `finish` closes our side after sending."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=TIMEOUT_S) as link:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it heard enough
                link.sendall(data)
            if finish:
                link.shutdown(socket.SHUT_WR)
            response = http.client.HTTPResponse(link)
            response.begin()
            return Answer(response.status, response.headers, response.read())

    def stored(self) -> tuple[int, ...]:
        """How many orders, items and log rows the database holds."""
        (row,) = self.query(
            "select (select count(*) from orders), (select count(*) from order_items),"
            " (select count(*) from order_status_log)"
        )
        return row

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Ask the database."""
        with psycopg.connect(self.db_url) as conn:
            return conn.execute(sql.encode(), values).fetchall()


def module_service(*flags: str, **variables: str) -> Callable[..., Any]:
    """A fixture: an order service with these flags and variables, one for a module's tests."""

    @pytest.fixture(scope="module")
    def service(
        servers: Any, _template: str, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Service]:
        name = f"api_{uuid4().hex[:12]}"
        db_url = servers.postgres.create_database(name, template=_template)
        folder = tmp_path_factory.mktemp("api")
        running = Service(folder, db_url, servers.rabbitmq.url, *flags, **variables)
        try:
            running.program.wait_for("service_started")
            yield running
            assert running.program.stop() == 0
            running.program.check_output()
        finally:
            running.program.process.finish(1)
            servers.postgres.drop_database(name)

    return service
