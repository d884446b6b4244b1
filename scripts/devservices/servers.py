"""Both servers together: started side by side, stopped side by side."""

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from devservices.postgres import Postgres
from devservices.rabbitmq import RabbitMQ
from devservices.server import PrivateServer


class Servers:
    """A PostgreSQL and a RabbitMQ in one folder, usable as a context manager."""

    def __init__(self, folder: Path | str) -> None:
        """Starts nothing. Data of an earlier run below `folder` is used again."""
        self.postgres = Postgres(Path(folder) / "postgres")
        self.rabbitmq = RabbitMQ(Path(folder) / "rabbitmq")

    def start(self) -> Self:
        """Start both; when one fails, the other is stopped again."""
        try:
            self.rabbitmq.launch()
            self.postgres.start()
            self.rabbitmq.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop both regularly."""
        stop_all([self.rabbitmq, self.postgres])

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def stop_all(servers: Collection[PrivateServer]) -> None:
    """Stop servers side by side."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda server: server.stop(), servers))
