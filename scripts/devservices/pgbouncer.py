"""A private PgBouncer before a private PostgreSQL: on loopback, gone with what started it."""

import os
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from bootstrap.data_dir import FOLDER
from devservices.install import packages
from devservices.ports import LOOPBACK, listens
from devservices.postgres import Postgres
from devservices.server import PrivateServer, change_owner, write_private

PACKAGES = {"pgbouncer": "pgbouncer"}  # program: Debian package


class PgBouncer(PrivateServer):
    """One pooler before one database server."""

    NAME = "PgBouncer"
    START_SECONDS = 20.0

    def __init__(self, folder: Path | str, server: Postgres, mode: str, **settings: object) -> None:
        """mode: session, transaction or statement; settings: others of pgbouncer.ini."""
        super().__init__(folder)
        self._server = server
        self._settings = {"pool_mode": mode, "default_pool_size": 60, **settings}

    def url_of(self, database: str) -> str:
        """Connection string of a database of the server, through the pooler."""
        return self._server.url_of(database).replace(self._server.address, self.address)

    def launch(self) -> Self:
        """Start without waiting; where no PgBouncer is installed it is fetched first."""
        self.folder.mkdir(parents=True, exist_ok=True)
        found = packages.find_or_fetch_programs(PACKAGES, FOLDER / "pgbouncer")
        url = urlsplit(self._server.url)
        users, configuration = self.folder / "userlist.txt", self.folder / "pgbouncer.ini"
        write_private(users, f'"{url.username}" "{url.password}"\n')
        settings = {
            "listen_addr": LOOPBACK,
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": users,
            "max_client_conn": 500,
            **self._settings,
        }
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        target = f"[databases]\n* = host={LOOPBACK} port={self._server.port}\n"
        write_private(configuration, f"{target}[pgbouncer]\n{lines}")
        environment = {**os.environ, **found.environment}
        program = found.paths["pgbouncer"]
        prefix, owner, group = self._account(program, environment)
        change_owner(self.folder, owner, group)
        self._process = self._run([*prefix, program, configuration], environment)
        return self

    def answers(self) -> bool:
        """Whether it accepts connections."""
        return listens(self.port)
