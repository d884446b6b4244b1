"""The servers of a restaurant: a PostgreSQL and a RabbitMQ, given or private."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bootstrap.data_dir import move_to_backup
from devservices import Postgres, ProcessFailed, RabbitMQ
from devservices.install import rabbitmq
from devservices.servers import stop_all

ATTEMPTS = 3  # the first, one more as a start may be hit by a kill, and the last with fresh data


class BackingServices:
    """Two servers, each given by its variable (DB_URL, RABBITMQ) or private in a folder.

    `restart_dead` starts private servers that died again, on the same port and with their data.
    """

    def __init__(self, folder: Path, given: Mapping[str, str]) -> None:
        """Nothing is started yet."""
        self._given = {name: given[name] for name in ("DB_URL", "RABBITMQ") if given.get(name)}
        self._postgres = None if "DB_URL" in self._given else Postgres(folder / "postgres")
        self._rabbitmq = None if "RABBITMQ" in self._given else RabbitMQ(folder / "rabbitmq")
        self.has_old_data = any(server.folder.exists() for server in self._servers)

    @property
    def _servers(self) -> list[Postgres | RabbitMQ]:
        return [server for server in (self._postgres, self._rabbitmq) if server]

    @property
    def environment(self) -> dict[str, str]:
        """DB_URL and RABBITMQ for the restaurant's processes."""
        private: dict[str, str] = {}
        if self._postgres:
            private["DB_URL"] = self._postgres.url
        if self._rabbitmq:
            private["RABBITMQ"] = self._rabbitmq.address
        return self._given | private

    @property
    def private(self) -> str:
        """The private servers by name, for people; empty when both were given."""
        return " and ".join(server.NAME for server in self._servers)

    def prepare(self) -> None:
        """Fetch what is missing, before anything is started."""
        if self._rabbitmq:
            rabbitmq.find_or_fetch()

    def start(self, when_database_is_up: Callable[[], None]) -> None:
        """Start the private servers side by side; the database is used as soon as it is up."""
        if self._rabbitmq:
            self._rabbitmq.launch()
        if self._postgres:
            _start_or_heal(self._postgres, self._postgres.start)
        when_database_is_up()
        if self._rabbitmq:
            _start_or_heal(self._rabbitmq, self._rabbitmq.wait_ready)

    def restart_dead(self) -> Iterator[str]:
        """Start servers that have ended, without waiting; gives their names."""
        for server in self._servers:
            if not server.process.running:
                server.launch()
                yield server.NAME

    def stop(self) -> None:
        """Stop the private servers; not while another thread is in `restart_dead`."""
        stop_all(self._servers)

    def move_data_away(self) -> None:
        """Stop the private servers and move their data away: the next start is a fresh one."""
        self.stop()
        for server in self._servers:
            print(f"  {move_to_backup(server.folder)} has the data of before; starting afresh.")
        self.has_old_data = False


def _start_or_heal(server: Postgres | RabbitMQ, first_try: Callable[[], object]) -> None:
    """Start a server; after a failure once more, and at last with fresh data."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            first_try() if attempt == 1 else server.start()
        except ProcessFailed:
            if attempt == ATTEMPTS:
                raise
            server.stop()
            if attempt == ATTEMPTS - 1:
                aside = move_to_backup(server.folder)
                print(f"  The kept data cannot be opened and is now in {aside}; starting afresh.")
        else:
            return
