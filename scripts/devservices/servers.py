"""Both servers together: started side by side, stopped side by side."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from devservices.postgres import Postgres
from devservices.rabbitmq import RabbitMQ


class Servers:
    """A PostgreSQL and a RabbitMQ in one folder, usable as a context manager."""

    def __init__(self, folder: Path | str, *, plugins: Sequence[str] = ()) -> None:
        """Nothing is started yet. Data of an earlier run below `folder` is used again."""
        self.postgres = Postgres(Path(folder) / "postgres")
        self.rabbitmq = RabbitMQ(Path(folder) / "rabbitmq", plugins=plugins)

    def start(self) -> "Servers":
        """Start both; what has started already is stopped again when one fails."""
        try:
            self.rabbitmq.begin()
            self.postgres.start()
            self.rabbitmq.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop both, orderly."""
        with ThreadPoolExecutor(max_workers=2) as pool:
            for done in [pool.submit(self.rabbitmq.stop), pool.submit(self.postgres.stop)]:
                done.result()

    def __enter__(self) -> "Servers":
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
